package dispatch

import (
	"reflect"

	"github.com/quis-idp/quis/api/admin/shape"
)

// common is what every route that concerns one tenant knows; the dispatcher uses it.
type common struct {
	Tenant string `query:"tenant" max:"64" doc:"Slug of the tenant to act on, instead of the caller's own; for admins of the default tenant."`
}

// fresh is what every route that reads knows besides.
type fresh struct {
	Consistent bool `query:"consistent" doc:"See everything that was acknowledged anywhere before this request, at the price of asking the leader."`
}

// PageIn is embedded in the request of every list.
type PageIn struct {
	Limit int    `query:"limit" min:"1" max:"200" default:"50" doc:"Rows on one page."`
	After string `query:"after" max:"1024" doc:"Where to go on: the next of the page before."`
}

// ByID is embedded in the request of what concerns one resource.
type ByID struct {
	ID string `path:"id" max:"64" doc:"ID of the resource."`
}

// Count is how many rows a page shall have.
func (p PageIn) Count() int {
	if p.Limit == 0 {
		return 50
	}
	return p.Limit
}

// A Page is one part of a list.
type Page[T any] struct {
	Data    []T    `json:"data" doc:"The rows of this page."`
	HasMore bool   `json:"has_more" doc:"Whether there is another page."`
	Next    string `json:"next,omitempty" doc:"Cursor of the next page, for after."`
}

// Parameters returns the parameters that a route with request type in understands.
func Parameters(in reflect.Type, r *Route) []shape.Parameter {
	params := shape.Parameters(in, true)
	if r.Needs == OfTenant {
		params = append(params, shape.Parameters(reflect.TypeFor[common](), false)...)
	}
	if r.Reads() {
		params = append(params, shape.Parameters(reflect.TypeFor[fresh](), false)...)
	}
	return params
}
