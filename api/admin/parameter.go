package admin

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// A parameter is a part of the path or query of a route.
type parameter struct {
	field
	in string // path or query
}

// common is what every route that concerns one tenant knows; the dispatcher uses it.
type common struct {
	Tenant string `query:"tenant" max:"64" doc:"Slug of the tenant to act on, instead of the caller's own; for admins of the default tenant."`
}

// fresh is what every route that reads knows besides.
type fresh struct {
	Consistent bool `query:"consistent" doc:"See everything that was acknowledged anywhere before this request, at the price of asking the leader."`
}

// pageIn is embedded in the request of every list.
type pageIn struct {
	Limit int    `query:"limit" min:"1" max:"200" default:"50" doc:"Rows on one page."`
	After string `query:"after" max:"1024" doc:"Where to go on: the next of the page before."`
}

func (p pageIn) limit() int {
	if p.Limit == 0 {
		return 50
	}
	return p.Limit
}

// A page is one part of a list.
type page[T any] struct {
	Data    []T    `json:"data" doc:"The rows of this page."`
	HasMore bool   `json:"has_more" doc:"Whether there is another page."`
	Next    string `json:"next,omitempty" doc:"Cursor of the next page, for after."`
}

// parametersOf returns the parameters that a route with request type in understands.
func parametersOf(in reflect.Type, r *route) []parameter {
	params := taggedParameters(in, true)
	if r.needs == ofTenant {
		params = append(params, taggedParameters(reflect.TypeFor[common](), false)...)
	}
	if r.reads() {
		params = append(params, taggedParameters(reflect.TypeFor[fresh](), false)...)
	}
	return params
}

// taggedParameters reads the tags of t. Those of the dispatcher are checked with the
// others, but have no place in the request's own struct.
func taggedParameters(t reflect.Type, own bool) []parameter {
	var params []parameter
	for _, f := range reflect.VisibleFields(t) {
		for _, in := range []string{"path", "query"} {
			if name, ok := f.Tag.Lookup(in); ok {
				p := parameter{field: field{name: name, typ: f.Type, tag: f.Tag}, in: in}
				if own {
					p.index = f.Index
				}
				params = append(params, p)
			}
		}
	}
	return params
}

func (p parameter) required() bool { return p.in == "path" || p.field.required() }

func (p parameter) target(v reflect.Value) reflect.Value {
	if p.index == nil {
		return reflect.Value{}
	}
	return v.FieldByIndex(p.index)
}

// parameter checks text as a value of p and reports whether it is one.
func (c *checker) parameter(p parameter, text string) bool {
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

func suggestParameter(name string, params []parameter) string {
	var fields []field
	for _, p := range params {
		if p.in == "query" {
			fields = append(fields, p.field)
		}
	}
	return suggest(name, fields)
}
