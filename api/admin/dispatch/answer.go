package dispatch

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/quis-idp/quis/api/problem"
)

// Unmatched tells a path that does not exist from one that does for other methods.
func Unmatched(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := mux.Handler(probe); strings.HasPrefix(pattern, m+" ") {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return problem.ErrRoute
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return problem.ErrMethod
}

// Answer sends what a handler has given.
func Answer(w http.ResponseWriter, r *http.Request, rt *Route, out any) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if tag := h.Get("ETag"); rt.Reads() && tag != "" && r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if rt.Success() == http.StatusNoContent {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(rt.Success())
	_, _ = w.Write(append(body, '\n')) // the client has left: nobody to tell
	return nil
}

// Show makes a page of rows as the API shows them.
func Show[R, T any](rows []R, next string, f func(*R) T) *Page[T] {
	p := &Page[T]{Data: make([]T, 0, len(rows)), HasMore: next != "", Next: next}
	for i := range rows {
		p.Data = append(p.Data, f(&rows[i]))
	}
	return p
}
