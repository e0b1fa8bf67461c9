package shape

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strconv"

	"github.com/quis-idp/quis/identity"
)

// A Parameter is a part of the path or query of a request: a field tagged path or query.
type Parameter struct {
	field
	In    string // path or query
	index []int  // of its field in the request's struct; nil: somebody else uses it
}

// Name returns what the parameter is called in a request.
func (p Parameter) Name() string { return p.name }

// Required reports whether a request must have the parameter.
func (p Parameter) Required() bool { return p.In == "path" || p.field.required() }

// Schema returns the schema of its value.
func (p Parameter) Schema(s *Schemas) Node { return s.Of(p.typ, p.tag, Asked) }

// Example returns a value that could be sent.
func (p Parameter) Example() any { return exampleOf(p.typ, p.tag, p.name, Asked) }

// Parameters returns the parameters that struct type t asks for. Those that are not own
// are checked by Bind, but not stored.
func Parameters(t reflect.Type, own bool) []Parameter {
	var params []Parameter
	for _, f := range reflect.VisibleFields(t) {
		for _, in := range []string{"path", "query"} {
			if name, ok := f.Tag.Lookup(in); ok {
				p := Parameter{field: field{name: name, typ: f.Type, tag: f.Tag}, In: in}
				if own {
					p.index = f.Index
				}
				params = append(params, p)
			}
		}
	}
	return params
}

// Bind fills v, a struct, from the query and the path of a request, and reports
// everything that is wrong with them.
func Bind(v reflect.Value, params []Parameter, rawQuery string, pathValue func(string) string) error {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return identity.Invalid("", "the query string is malformed")
	}
	var check checker
	for _, p := range params {
		text, given := query.Get(p.name), query.Has(p.name)
		if len(query[p.name]) > 1 {
			check.fault(p.name, "appears more than once")
		}
		if p.In == "path" {
			text, given = pathValue(p.name), true
		}
		switch {
		case given && check.parameter(p, text) && p.index != nil:
			set(v.FieldByIndex(p.index), text)
		case !given && p.Required():
			check.fault(p.name, "is required")
		}
	}
	for name := range query {
		if !slices.ContainsFunc(params, func(p Parameter) bool { return p.In == "query" && p.name == name }) {
			check.fault(escape(name), "is not a query parameter of this request"+suggestParameter(name, params))
		}
	}
	return check.err()
}

// parameter checks text as a value of p and reports whether it is one.
func (c *checker) parameter(p Parameter, text string) bool {
	before := len(c.faults)
	switch {
	case p.typ.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			c.fault(p.name, "must be true or false")
		}
	case isInteger(p.typ):
		c.number(p.name, json.Number(text), p.typ, p.tag)
	default:
		c.text(p.name, text, p.typ, p.tag)
	}
	return len(c.faults) == before
}

// set stores text, which has been checked, in v.
func set(v reflect.Value, text string) {
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(text == "true")
	case v.Type() == timeType:
		if t, err := parseTime(text); err == nil {
			v.Set(reflect.ValueOf(t.UTC()))
		}
	case isInteger(v.Type()):
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			v.SetInt(n)
		}
	default:
		v.SetString(text)
	}
}

func suggestParameter(name string, params []Parameter) string {
	var fields []field
	for _, p := range params {
		if p.In == "query" {
			fields = append(fields, p.field)
		}
	}
	return suggest(name, fields)
}
