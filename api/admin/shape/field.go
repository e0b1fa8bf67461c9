package shape

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]() // an object that somebody else checks
)

// A field is one JSON member of a struct, those of embedded structs included.
type field struct {
	name  string
	typ   reflect.Type
	tag   reflect.StructTag
	index []int
	omit  bool // may be absent in an answer
}

// required reports whether a request must have the field.
func (f field) required() bool { return f.tag.Get("required") == "true" }

// fieldsOf returns the JSON members of struct type t in order of declaration.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("json")
		if !ok || tag == "-" || !f.IsExported() {
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		fields = append(fields, field{name: name, typ: f.Type, tag: f.Tag, index: f.Index, omit: strings.Contains(opts, "omit")})
	}
	return fields
}

func isInteger(t reflect.Type) bool {
	return slices.Contains([]reflect.Kind{reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint32}, t.Kind())
}

// kindName says what a value of t looks like in JSON.
func kindName(t reflect.Type) string {
	switch {
	case t == rawType:
		return "an object"
	case t == timeType:
		return "a time as in RFC 3339"
	case isInteger(t):
		return "a whole number"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

func parseTime(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }

// suggest names the field that was perhaps meant, for the end of an error message.
func suggest(name string, fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return DidYouMean(strings.ToLower(name), names)
}
