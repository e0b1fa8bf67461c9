package shape

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// usual are examples of members that are called the same everywhere.
var usual = map[string]string{
	"id": "01jc8q2v7m3k5t9w0x4y6z8a1b", "user_id": "usr_01jc8q2v7m3k5t9w0x4y6z8a1b", "group_id": "grp_01jc8q2v7m3k5t9w0x4y6z8a1b",
	"email": "alice@example.com", "username": "alice", "given_name": "Alice", "family_name": "Doe", "locale": "en",
	"slug": "acme", "name": "Example", "description": "An example.", "tenant": "acme", "client_id": "wiki",
	"password": "correct horse battery staple", "node": "node-2", "version": "1.4.0", "ip": "192.0.2.7", "address": "192.0.2.7:8300",
}

// Example returns a value of struct type t as JSON would have it, made of its tags.
// A request shows what it must have and what is tagged example; an answer, what is always there.
func Example(t reflect.Type, m Mode) any { return exampleOf(t, "", "", m) }

func exampleOf(t reflect.Type, tag reflect.StructTag, name string, m Mode) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	given := tag.Get("example")
	switch {
	case t == rawType:
		return Node{}
	case t == timeType:
		return "2026-01-15T09:30:00Z"
	case t.Kind() == reflect.Struct:
		return structExample(t, m)
	case t.Kind() == reflect.Map:
		return Node{}
	case t.Kind() == reflect.Slice:
		return listExample(t, tag, m)
	case t.Kind() == reflect.Bool:
		return given == "true" || given == "" && tag.Get("default") == "true"
	case isInteger(t):
		for _, v := range []string{given, tag.Get("default"), tag.Get("min")} {
			if n, err := strconv.Atoi(v); err == nil {
				return n
			}
		}
		return 1
	}
	return textExample(given, tag, name)
}

func structExample(t reflect.Type, m Mode) Node {
	shown := func(f field) bool {
		_, given := f.tag.Lookup("example")
		return given || m == Asked && f.required() || m == Answered && !f.omit
	}
	fields := fieldsOf(t)
	if m != Answered && !slices.ContainsFunc(fields, shown) && len(fields) > 0 {
		first := fields[0].name
		shown = func(f field) bool { return f.name == first }
	}
	n := Node{}
	for _, f := range fields {
		if shown(f) {
			n[f.name] = exampleOf(f.typ, f.tag, f.name, m)
		}
	}
	return n
}

// listExample has one entry, or those of the tag.
func listExample(t reflect.Type, tag reflect.StructTag, m Mode) []any {
	given := strings.Fields(tag.Get("example"))
	if t.Elem().Kind() != reflect.String || len(given) == 0 {
		return []any{exampleOf(t.Elem(), itemTag(tag), "", m)}
	}
	list := make([]any, len(given))
	for i, v := range given {
		list[i] = v
	}
	return list
}

func textExample(given string, tag reflect.StructTag, name string) string {
	first, _, _ := strings.Cut(tag.Get("enum"), "|")
	text := "text"
	for _, v := range []string{given, tag.Get("default"), first, usual[name]} {
		if v != "" {
			text = v
			break
		}
	}
	if n, err := strconv.Atoi(tag.Get("min")); err == nil && len(text) < n {
		text += strings.Repeat("x", n-len(text))
	}
	if n, err := strconv.Atoi(tag.Get("max")); err == nil && len(text) > n {
		text = text[:n]
	}
	return text
}
