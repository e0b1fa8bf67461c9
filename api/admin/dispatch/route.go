package dispatch

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/api/admin/shape"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
)

// Limits and places.
const (
	Prefix  = "/api/v1" // of every path
	maxBody = 256 << 10 // bytes of a request body
)

// A Permission says whose business a route is.
type Permission int

// Whose business a route can be.
const (
	OfTenant       Permission = iota // admins of the tenant
	OfInstallation                   // admins of the default tenant, and the operator
	OfPerson                         // whoever has a token: their own account
)

// A Route is one row of the table.
type Route struct {
	Method, Path string // path below /api/v1, with ServeMux wildcards
	Needs        Permission
	Op           string // operationId: what client generators call it
	Summary      string
	Status       int  // of success; 0: 200, or 204 if there is nothing to say
	Tagged       bool // the answer has an ETag, and a change honours If-Match
	Asks         any  // example of the body, where the one of its tags says too little
	Do           Handler
}

// Success returns the status of an answer that is no problem.
func (r Route) Success() int {
	if r.Status != 0 {
		return r.Status
	}
	if r.Do.Out == reflect.TypeFor[None]() && r.Do.Stream == nil {
		return http.StatusNoContent
	}
	return http.StatusOK
}

// tag groups the routes of one resource: the first element of the path.
func (r Route) tag() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
	return name
}

// Reads reports whether the route changes nothing.
func (r Route) Reads() bool { return r.Method == http.MethodGet }

// A Handler is a typed function with its types at hand.
type Handler struct {
	In, Out reflect.Type
	Serve   func(c *Call) (any, error)
	Stream  func(c *Call, w http.ResponseWriter) error // instead of serve
}

// Handle wraps a function of the form that all resources are written in. In is a struct
// with `path:` and `query:` fields and perhaps a Body; Out is what is answered as JSON.
func Handle[In, Out any](fn func(*Call, *In) (*Out, error)) Handler {
	return Handler{
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
		Serve: func(c *Call) (any, error) {
			var in In
			if err := c.bind(&in); err != nil {
				return nil, err
			}
			out, err := fn(c, &in)
			if err != nil || out == nil { // a typed nil must not become a non-nil any
				return nil, err
			}
			return out, nil
		},
	}
}

// Streaming wraps a function that reads the body of its request, or writes that of its
// answer, piece by piece; parameters are bound as ever. An error is answered as a problem
// if nothing was written before.
func Streaming[In any](fn func(*Call, *In, http.ResponseWriter) error) Handler {
	return Handler{
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[None](),
		Stream: func(c *Call, w http.ResponseWriter) error {
			var in In
			v := reflect.ValueOf(&in).Elem()
			if err := shape.Bind(v, Parameters(v.Type(), c.Route), c.R.URL.RawQuery, c.R.PathValue); err != nil {
				return err
			}
			return fn(c, &in, w)
		},
	}
}

// None is the request without parameters and the answer without content.
type None struct{}

// A Call is one request on its way through its handler.
type Call struct {
	Ctx    context.Context
	R      *http.Request
	Route  *Route
	Tenant identity.Tenant
	Other  bool        // ?tenant= chose the tenant
	Header http.Header // of the answer
}

// Revision puts the revision of the resource in the answer as its entity tag.
func (c *Call) Revision(rev uint64) { c.Header.Set("ETag", etag(rev)) }

func etag(rev uint64) string { return `"` + strconv.FormatUint(rev, 10) + `"` }

// Location says where the resource is that has been created.
func (c *Call) Location(elem ...string) {
	at := Prefix
	for _, e := range elem {
		at += "/" + url.PathEscape(e)
	}
	if c.Other {
		at += "?tenant=" + url.QueryEscape(c.Tenant.Slug)
	}
	c.Header.Set("Location", at)
}

// IfMatch returns the revision that a change is conditional on, 0: none. A tag that is
// not one of ours matches nothing (RFC 9110 §13.1.1).
func (c *Call) IfMatch() (uint64, error) {
	tags := c.R.Header.Values("If-Match")
	if len(tags) == 0 || len(tags) == 1 && tags[0] == "*" {
		return 0, nil
	}
	if len(tags) > 1 || strings.Contains(tags[0], ",") {
		return 0, identity.Invalid("If-Match", "must be one entity tag")
	}
	rev, err := strconv.ParseUint(strings.Trim(tags[0], `"`), 10, 64)
	if err != nil || rev == 0 || tags[0] != etag(rev) {
		return 0, problem.ErrPrecondition
	}
	return rev, nil
}

// A Change is a request body that is laid over a value: a whole one replaces it, a
// partial one (PATCH, RFC 7396 without null) keeps what it does not mention.
type Change[T any] struct {
	raw     []byte
	partial bool
}

func (b *Change[T]) read(data []byte, partial bool) error {
	var probe T
	b.raw, b.partial = data, partial
	return shape.Read(data, &probe, partial)
}

func (*Change[T]) bodyType() reflect.Type { return reflect.TypeFor[T]() }

// Onto returns old changed by the body; initial is what a whole body is laid over.
func (b *Change[T]) Onto(old, initial T) (T, error) {
	v := initial
	if b.partial {
		v = old
	}
	err := shape.Overlay(b.raw, &v)
	return v, err
}

// A changer is a *Change[T] of some T.
type changer interface {
	read(data []byte, partial bool) error
	bodyType() reflect.Type
}

// BodyOf returns the type of the JSON body that in asks for, or nil.
func BodyOf(in reflect.Type) reflect.Type {
	f, ok := in.FieldByName("Body")
	if !ok {
		return nil
	}
	if c, ok := reflect.New(f.Type).Interface().(changer); ok {
		return c.bodyType()
	}
	return f.Type
}

// bind fills in from path, query and body, and reports everything that is wrong.
func (c *Call) bind(in any) error {
	v := reflect.ValueOf(in).Elem()
	params := Parameters(v.Type(), c.Route)
	if err := shape.Bind(v, params, c.R.URL.RawQuery, c.R.PathValue); err != nil {
		return err
	}
	data, err := readBody(c.R)
	if err != nil {
		return err
	}
	body := v.FieldByName("Body")
	if !body.IsValid() {
		if len(data) > 0 {
			return identity.Invalid("", "this request takes no body")
		}
		return nil
	}
	if len(data) == 0 && optionalBody(v.Type()) {
		return nil
	}
	if len(data) > 0 && !isJSON(c.R.Header.Get("Content-Type")) {
		return problem.ErrMediaType
	}
	if ch, ok := body.Addr().Interface().(changer); ok {
		return ch.read(data, c.R.Method == http.MethodPatch)
	}
	return shape.Read(data, body.Addr().Interface(), false)
}

// optionalBody reports whether a request of type in may have none.
func optionalBody(in reflect.Type) bool {
	f, _ := in.FieldByName("Body")
	return f.Tag.Get("required") == "false"
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if len(data) > maxBody {
		return nil, problem.ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || t == "application/merge-patch+json")
}
