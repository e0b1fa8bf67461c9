package admin

import (
	"context"
	"encoding/json"
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

const (
	prefix   = "/api/v1"
	maxBody  = 256 << 10 // bytes of a request body
	maxLimit = 200       // rows of one page
)

// A permission says whose business a route is.
type permission int

const (
	ofTenant       permission = iota // admins of the tenant
	ofInstallation                   // admins of the default tenant, and the operator
)

// A route is one row of the table.
type route struct {
	method, path string // path below /api/v1, with ServeMux wildcards
	needs        permission
	op           string // operationId: what client generators call it
	summary      string
	status       int  // of success; 0: 200, or 204 if there is nothing to say
	tagged       bool // the answer has an ETag, and a change honours If-Match
	do           handler
}

func (r route) success() int {
	if r.status != 0 {
		return r.status
	}
	if r.do.out == reflect.TypeFor[none]() && r.do.stream == nil {
		return http.StatusNoContent
	}
	return http.StatusOK
}

// tag groups the routes of one resource: the first element of the path.
func (r route) tag() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
	return name
}

// reads reports whether the route changes nothing.
func (r route) reads() bool { return r.method == http.MethodGet }

// A handler is a typed function with its types at hand.
type handler struct {
	in, out reflect.Type
	serve   func(c *call) (any, error)
	stream  func(c *call, w http.ResponseWriter) error // instead of serve
}

// handle wraps a function of the form that all resources are written in. In is a struct
// with `path:` and `query:` fields and perhaps a Body; Out is what is answered as JSON.
func handle[In, Out any](fn func(*call, *In) (*Out, error)) handler {
	return handler{
		in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		serve: func(c *call) (any, error) {
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

// streaming wraps a function that reads the body of its request, or writes that of its
// answer, piece by piece; parameters are bound as ever. An error is answered as a problem
// if nothing was written before.
func streaming[In any](fn func(*call, *In, http.ResponseWriter) error) handler {
	return handler{
		in: reflect.TypeFor[In](), out: reflect.TypeFor[none](),
		stream: func(c *call, w http.ResponseWriter) error {
			var in In
			v := reflect.ValueOf(&in).Elem()
			if err := shape.Bind(v, parametersOf(v.Type(), c.route), c.r.URL.RawQuery, c.r.PathValue); err != nil {
				return err
			}
			return fn(c, &in, w)
		},
	}
}

// none is the request without parameters and the answer without content.
type none struct{}

// A call is one request on its way through its handler.
type call struct {
	ctx    context.Context
	r      *http.Request
	route  *route
	tenant identity.Tenant
	other  bool        // ?tenant= chose the tenant
	header http.Header // of the answer
}

// revision puts the revision of the resource in the answer as its entity tag.
func (c *call) revision(rev uint64) { c.header.Set("ETag", etag(rev)) }

func etag(rev uint64) string { return `"` + strconv.FormatUint(rev, 10) + `"` }

// location says where the resource is that has been created.
func (c *call) location(elem ...string) {
	at := prefix
	for _, e := range elem {
		at += "/" + url.PathEscape(e)
	}
	if c.other {
		at += "?tenant=" + url.QueryEscape(c.tenant.Slug)
	}
	c.header.Set("Location", at)
}

// ifMatch returns the revision that a change is conditional on, 0: none. A tag that is
// not one of ours matches nothing (RFC 9110 §13.1.1).
func (c *call) ifMatch() (uint64, error) {
	tags := c.r.Header.Values("If-Match")
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

// A change is a request body that is laid over a value: a whole one replaces it, a
// partial one (PATCH, RFC 7396 without null) keeps what it does not mention.
type change[T any] struct {
	raw     []byte
	partial bool
}

func (b *change[T]) read(data []byte, partial bool) error {
	var probe T
	b.raw, b.partial = data, partial
	return shape.Read(data, &probe, partial)
}

func (*change[T]) bodyType() reflect.Type { return reflect.TypeFor[T]() }

// onto returns old changed by the body; initial is what a whole body is laid over.
func (b *change[T]) onto(old, initial T) (T, error) {
	v := initial
	if b.partial {
		v = old
	}
	err := json.Unmarshal(b.raw, &v)
	return v, err
}

// A changer is a *change[T] of some T.
type changer interface {
	read(data []byte, partial bool) error
	bodyType() reflect.Type
}

// bodyOf returns the type of the JSON body that in asks for, or nil.
func bodyOf(in reflect.Type) reflect.Type {
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
func (c *call) bind(in any) error {
	v := reflect.ValueOf(in).Elem()
	params := parametersOf(v.Type(), c.route)
	if err := shape.Bind(v, params, c.r.URL.RawQuery, c.r.PathValue); err != nil {
		return err
	}
	data, err := readBody(c.r)
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
	if len(data) > 0 && !isJSON(c.r.Header.Get("Content-Type")) {
		return problem.ErrMediaType
	}
	if ch, ok := body.Addr().Interface().(changer); ok {
		return ch.read(data, c.r.Method == http.MethodPatch)
	}
	return shape.Read(data, body.Addr().Interface(), false)
}

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
