package shape

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Node is a piece of a JSON document; encoding/json sorts its names, so equal tables
// give equal documents.
type Node = map[string]any

// A Mode says from which side a schema is seen.
type Mode int

// Requests and answers differ in what must be there.
const (
	Answered Mode = iota // what has no omitempty is always there
	Asked                // what is tagged required must be there, nothing unknown may be
	Patched              // as Asked, but nothing must be there
)

// Schemas collects the named schemas of a document.
type Schemas struct {
	named Node
	types map[string]string // schema name -> Go type and Mode, to catch two that share one
}

// NewSchemas returns an empty collection.
func NewSchemas() *Schemas { return &Schemas{named: Node{}, types: map[string]string{}} }

// Of returns the schema of a value of type t with the rules of tag.
func (s *Schemas) Of(t reflect.Type, tag reflect.StructTag, m Mode) Node {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	n := Node{}
	switch {
	case t == rawType:
		n["type"] = "object"
	case t == timeType:
		n["type"], n["format"] = "string", "date-time"
	case t.Kind() == reflect.Struct:
		n["$ref"] = s.Ref(t, m)
	case t.Kind() == reflect.Map:
		n["type"], n["additionalProperties"] = "object", s.Of(t.Elem(), "", m)
	case t.Kind() == reflect.Slice:
		n["type"], n["items"] = "array", s.Of(t.Elem(), itemTag(tag), m)
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
		panic(fmt.Sprintf("shape: no schema for %v", t))
	}
	if v := tag.Get("doc"); v != "" {
		n["description"] = v
	}
	if v := tag.Get("default"); v != "" {
		n["default"] = literal(v, t)
	}
	return n
}

func limits(n Node, tag reflect.StructTag, low, high string) {
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

// Named returns the schemas by their names.
func (s *Schemas) Named() Node { return s.named }

// Ref names struct type t, writes down its schema if it is new, and returns the reference.
func (s *Schemas) Ref(t reflect.Type, m Mode) string {
	name := schemaName(t)
	if m == Patched {
		name += "Patch"
	}
	id := fmt.Sprint(t, m)
	if have, ok := s.types[name]; ok && have != id && strings.HasPrefix(have, t.String()+" ") {
		name += map[Mode]string{Answered: "Answer", Asked: "Input"}[m] // the same within a request and an answer
	}
	at := "#/components/schemas/" + name
	if have, ok := s.types[name]; ok {
		if have != id {
			panic("shape: two schemas are named " + name + ": " + have + " and " + id)
		}
		return at
	}
	s.types[name] = id
	properties, required := Node{}, []string{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = s.Of(f.typ, f.tag, m)
		if m == Answered && !f.omit || m == Asked && f.required() {
			required = append(required, f.name)
		}
	}
	n := Node{"type": "object", "properties": properties}
	if len(required) > 0 {
		n["required"] = required
	}
	if m != Answered {
		n["additionalProperties"] = false
	}
	s.named[name] = n
	return at
}

// schemaName names the schema of t: a page after its rows, others after their type,
// unless they say it themselves because the Go name is taken by a package.
func schemaName(t reflect.Type) string {
	if rows, ok := t.FieldByName("Data"); ok && strings.HasPrefix(t.Name(), "Page[") {
		return schemaName(rows.Type.Elem()) + "Page"
	}
	if n, ok := reflect.New(t).Interface().(interface{ SchemaName() string }); ok {
		return n.SchemaName()
	}
	return upperFirst(t.Name())
}

func upperFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}
