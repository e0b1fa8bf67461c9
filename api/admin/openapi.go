package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/api/problem"
)

const problemType = "application/problem+json"

// document returns the OpenAPI 3.1 description of the table.
func document(table []route, version string) ([]byte, error) {
	s := newSchemas()
	paths := node{}
	for i := range table {
		r := &table[i]
		path, ok := paths[prefix+r.path].(node)
		if !ok {
			path = node{}
			paths[prefix+r.path] = path
		}
		path[strings.ToLower(r.method)] = operation(s, r)
	}
	s.ref(reflect.TypeFor[problem.Problem](), answered)
	return json.MarshalIndent(node{
		"openapi": "3.1.0",
		"info": node{
			"title": "quis", "version": version,
			"description": "Administration of quis. Requests are read strictly; errors are problem details (RFC 9457); " +
				"lists are pages with a cursor; a resource's ETag is its revision and If-Match makes a change conditional.",
			"license": node{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{node{"url": "/"}},
		"security": []any{node{"token": []string{}}},
		"paths":    paths,
		"components": node{
			"schemas": s.named,
			"securitySchemes": node{"token": node{
				"type": "http", "scheme": "bearer", "description": "An access token (quis_pat_…) of an admin user.",
			}},
			"responses": node{"Problem": node{
				"description": "What went wrong.",
				"headers":     node{"Retry-After": node{"description": "Seconds to wait before trying again.", "schema": node{"type": "integer"}}},
				"content":     node{problemType: node{"schema": node{"$ref": "#/components/schemas/Problem"}}},
			}},
		},
	}, "", " ")
}

func operation(s *schemas, r *route) node {
	op := node{
		"operationId": r.op, "summary": r.summary, "tags": []string{r.tag()},
		"parameters": openParameters(s, r), "responses": responses(s, r),
	}
	if r.needs == ofInstallation {
		op["description"] = "For admins of the default tenant and the operator of the machine."
	}
	if body := bodyOf(r.do.in); body != nil {
		m := asked
		if r.method == http.MethodPatch {
			m = patched
		}
		op["requestBody"] = node{
			"required": !optionalBody(r.do.in),
			"content":  node{"application/json": node{"schema": s.of(body, "", m)}},
		}
	}
	return op
}

func openParameters(s *schemas, r *route) []any {
	out := []any{}
	for _, p := range parametersOf(r.do.in, r) {
		schema := s.of(p.typ, p.tag, asked)
		n := node{"name": p.name, "in": p.in, "required": p.required(), "schema": schema}
		if d, ok := schema["description"]; ok {
			n["description"] = d
			delete(schema, "description")
		}
		out = append(out, n)
	}
	if r.conditional() {
		out = append(out, node{
			"name": "If-Match", "in": "header", "required": false, "schema": node{"type": "string"},
			"description": "Change it only if this is still its ETag.",
		})
	}
	return out
}

// conditional reports whether the route honours If-Match.
func (r route) conditional() bool {
	return r.tagged && slices.Contains([]string{http.MethodPut, http.MethodPatch, http.MethodDelete}, r.method)
}

func responses(s *schemas, r *route) node {
	ok := node{"description": http.StatusText(r.success())}
	headers := node{}
	if r.do.out != reflect.TypeFor[none]() {
		ok["content"] = node{"application/json": node{"schema": s.of(r.do.out, "", answered)}}
		if r.tagged {
			headers["ETag"] = node{"description": "Revision of the resource.", "schema": node{"type": "string"}}
		}
	}
	if r.status == http.StatusCreated {
		headers["Location"] = node{"description": "Where the new resource is.", "schema": node{"type": "string"}}
	}
	if len(headers) > 0 {
		ok["headers"] = headers
	}
	out := node{strconv.Itoa(r.success()): ok}
	for _, status := range r.faults() {
		out[strconv.Itoa(status)] = node{"$ref": "#/components/responses/Problem"}
	}
	return out
}

// faults returns the statuses that the route may fail with.
func (r route) faults() []int {
	all := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge, http.StatusNotFound}
	if !r.reads() {
		all = append(all, http.StatusConflict)
	}
	if r.conditional() {
		all = append(all, http.StatusPreconditionFailed)
	}
	if bodyOf(r.do.in) != nil {
		all = append(all, http.StatusUnsupportedMediaType)
	}
	return all
}
