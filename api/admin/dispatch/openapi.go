package dispatch

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/api/admin/shape"
	"github.com/quis-idp/quis/api/problem"
)

const problemType = "application/problem+json"

// Document returns the OpenAPI 3.1 description of the table.
func Document(table []Route, version string) ([]byte, error) {
	s := shape.NewSchemas()
	paths := shape.Node{}
	for i := range table {
		r := &table[i]
		path, ok := paths[Prefix+r.Path].(shape.Node)
		if !ok {
			path = shape.Node{}
			paths[Prefix+r.Path] = path
		}
		path[strings.ToLower(r.Method)] = operation(s, r)
	}
	s.Ref(reflect.TypeFor[problem.Problem](), shape.Answered)
	return json.MarshalIndent(shape.Node{
		"openapi": "3.1.0",
		"info": shape.Node{
			"title": "quis", "version": version,
			"description": "Administration of quis. Requests are read strictly; errors are problem details (RFC 9457); " +
				"lists are pages with a cursor; a resource's ETag is its revision and If-Match makes a change conditional.",
			"license": shape.Node{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{shape.Node{"url": "/"}},
		"security": []any{shape.Node{"token": []string{}}},
		"paths":    paths,
		"components": shape.Node{
			"schemas": s.Named(),
			"securitySchemes": shape.Node{"token": shape.Node{
				"type": "http", "scheme": "bearer", "description": "An access token (quis_pat_…) of an admin user.",
			}},
			"responses": shape.Node{"Problem": shape.Node{
				"description": "What went wrong.",
				"headers":     shape.Node{"Retry-After": shape.Node{"description": "Seconds to wait before trying again.", "schema": shape.Node{"type": "integer"}}},
				"content":     shape.Node{problemType: shape.Node{"schema": shape.Node{"$ref": "#/components/schemas/Problem"}}},
			}},
		},
	}, "", " ")
}

func operation(s *shape.Schemas, r *Route) shape.Node {
	op := shape.Node{
		"operationId": r.Op, "summary": r.Summary, "tags": []string{r.tag()},
		"parameters": openParameters(s, r), "responses": responses(s, r),
	}
	switch r.Needs {
	case OfInstallation:
		op["description"] = "For admins of the default tenant and the operator of the machine."
	case OfPerson:
		op["description"] = "For whoever has a token, administrator or not."
	}
	if body := BodyOf(r.Do.In); body != nil {
		m := shape.Asked
		if r.Method == http.MethodPatch {
			m = shape.Patched
		}
		op["requestBody"] = shape.Node{
			"required": !optionalBody(r.Do.In),
			"content":  shape.Node{"application/json": shape.Node{"schema": s.Of(body, "", m), "example": r.asks(body, m)}},
		}
	}
	return op
}

func openParameters(s *shape.Schemas, r *Route) []any {
	out := []any{}
	for _, p := range Parameters(r.Do.In, r) {
		schema := p.Schema(s)
		n := shape.Node{"name": p.Name(), "in": p.In, "required": p.Required(), "schema": schema}
		if p.Required() {
			n["example"] = p.Example()
		}
		if d, ok := schema["description"]; ok {
			n["description"] = d
			delete(schema, "description")
		}
		out = append(out, n)
	}
	if r.conditional() {
		out = append(out, shape.Node{
			"name": "If-Match", "in": "header", "required": false, "schema": shape.Node{"type": "string", "pattern": `^(\*|"[1-9][0-9]*")$`},
			"description": "Change it only if this is still its ETag.",
		})
	}
	return out
}

// asks is an example of the request's body.
func (r Route) asks(body reflect.Type, m shape.Mode) any {
	if r.Asks != nil {
		return r.Asks
	}
	return shape.Example(body, m)
}

// conditional reports whether the route honours If-Match.
func (r Route) conditional() bool {
	return r.Tagged && slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, r.Method)
}

func responses(s *shape.Schemas, r *Route) shape.Node {
	ok := shape.Node{"description": http.StatusText(r.Success())}
	headers := shape.Node{}
	if r.Do.Out != reflect.TypeFor[None]() {
		ok["content"] = shape.Node{"application/json": shape.Node{"schema": s.Of(r.Do.Out, "", shape.Answered), "example": shape.Example(r.Do.Out, shape.Answered)}}
		if r.Tagged {
			headers["ETag"] = shape.Node{"description": "Revision of the resource.", "schema": shape.Node{"type": "string"}}
		}
	}
	if r.Status == http.StatusCreated {
		headers["Location"] = shape.Node{"description": "Where the new resource is.", "schema": shape.Node{"type": "string"}}
	}
	if len(headers) > 0 {
		ok["headers"] = headers
	}
	out := shape.Node{strconv.Itoa(r.Success()): ok}
	for _, status := range r.faults() {
		out[strconv.Itoa(status)] = shape.Node{"$ref": "#/components/responses/Problem"}
	}
	return out
}

// faults returns the statuses that the route may fail with.
func (r Route) faults() []int {
	all := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge, http.StatusNotFound}
	if !r.Reads() {
		all = append(all, http.StatusConflict)
	}
	if r.conditional() {
		all = append(all, http.StatusPreconditionFailed)
	}
	if BodyOf(r.Do.In) != nil {
		all = append(all, http.StatusUnsupportedMediaType)
	}
	return all
}
