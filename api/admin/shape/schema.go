package admin

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// node is a piece of a JSON document; encoding/json sorts its names, so equal tables
// give equal documents.
type node = map[string]any

// A mode says from which side a schema is seen.
type mode int

const (
	answered mode = iota // what has no omitempty is always there
	asked                // what is tagged required must be there, nothing unknown may be
	patched              // as asked, but nothing must be there
)

// schemas collects the named schemas of a document.
type schemas struct {
	named node
	types map[string]string // schema name -> Go type and mode, to catch two that share one
}

func newSchemas() *schemas { return &schemas{named: node{}, types: map[string]string{}} }

// of returns the schema of a value of type t with the rules of tag.
func (s *schemas) of(t reflect.Type, tag reflect.StructTag, m mode) node {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	n := node{}
	switch {
	case t == timeType:
		n["type"], n["format"] = "string", "date-time"
	case t.Kind() == reflect.Struct:
		n["$ref"] = s.ref(t, m)
	case t.Kind() == reflect.Map:
		n["type"], n["additionalProperties"] = "object", s.of(t.Elem(), "", m)
	case t.Kind() == reflect.Slice:
		n["type"], n["items"] = "array", s.of(t.Elem(), itemTag(tag), m)
		limits(n, tag, "minItems", "maxItems")
	case t.Kind() == reflect.Bool:
		n["type"] = "boolean"
	case isInteger(t):
		n["type"] = "integer"
		limits(n, tag, "minimum", "maximum")
	case t.Kind() == reflect.String:
		n["type"] = "string"
		limits(n, tag, "minLength", "maxLength")
		if v := tag.Get("enum"); v != "" {
			n["enum"] = strings.Split(v, "|")
		}
		if v := tag.Get("format"); v != "" {
			n["format"] = v
		}
	default:
		panic(fmt.Sprintf("admin: no schema for %v", t))
	}
	if v := tag.Get("doc"); v != "" {
		n["description"] = v
	}
	if v := tag.Get("default"); v != "" {
		n["default"] = literal(v, t)
	}
	return n
}

func limits(n node, tag reflect.StructTag, low, high string) {
	if v, err := strconv.Atoi(tag.Get("min")); err == nil {
		n[low] = v
	}
	if v, err := strconv.Atoi(tag.Get("max")); err == nil {
		n[high] = v
	}
}

// literal reads the text of a tag as a value of t.
func literal(v string, t reflect.Type) any {
	if n, err := strconv.Atoi(v); err == nil && isInteger(t) {
		return n
	}
	if t.Kind() == reflect.Bool {
		return v == "true"
	}
	return v
}

// ref names struct type t, writes down its schema if it is new, and returns the reference.
func (s *schemas) ref(t reflect.Type, m mode) string {
	name := schemaName(t)
	if m == patched {
		name += "Patch"
	}
	at := "#/components/schemas/" + name
	id := fmt.Sprint(t, m)
	if have, ok := s.types[name]; ok {
		if have != id {
			panic("admin: two schemas are named " + name + ": " + have + " and " + id)
		}
		return at
	}
	s.types[name] = id
	properties, required := node{}, []string{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = s.of(f.typ, f.tag, m)
		if m == answered && !f.omit || m == asked && f.required() {
			required = append(required, f.name)
		}
	}
	n := node{"type": "object", "properties": properties}
	if len(required) > 0 {
		n["required"] = required
	}
	if m != answered {
		n["additionalProperties"] = false
	}
	s.named[name] = n
	return at
}

// schemaName names the schema of t: a page after its rows, others after their type,
// unless they say it themselves because the Go name is taken by a package.
func schemaName(t reflect.Type) string {
	if rows, ok := t.FieldByName("Data"); ok && strings.HasPrefix(t.Name(), "page[") {
		return schemaName(rows.Type.Elem()) + "Page"
	}
	if n, ok := reflect.New(t).Interface().(interface{ schemaName() string }); ok {
		return n.schemaName()
	}
	return upperFirst(t.Name())
}

func upperFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}
