package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/quis-idp/quis/identity"
)

// A Problem is what a client is told about an error (RFC 9457 §3).
type Problem struct {
	Type     string  `json:"type"`               // one of the Type constants
	Title    string  `json:"title"`              // fixed per type
	Status   int     `json:"status"`             // HTTP status
	Detail   string  `json:"detail,omitempty"`   // what to do about it, if somebody wrote it for a reader
	Instance string  `json:"instance,omitempty"` // ID of the request, as in X-Request-Id and the log
	Errors   []Field `json:"errors,omitempty"`   // which members of the request are at fault

	// RetryAfter is when to try again, 0: unknown. It travels in the header.
	RetryAfter time.Duration `json:"-"`
}

// A Field is one fault of the request body or query.
type Field struct {
	Pointer string `json:"pointer"` // JSON pointer as a URI fragment (RFC 6901 §6), such as #/redirect_uris/0
	Detail  string `json:"detail"`
}

// Of returns what may be said about err, which must not be nil, to the client of ctx's request.
func Of(ctx context.Context, err error) Problem {
	k := kindOf(err)
	p := Problem{Type: k.typ, Title: k.title, Status: k.status, Instance: identity.RequestFrom(ctx).ID}
	if k.retry {
		p.RetryAfter = retryAfter
	}
	if k.err == nil {
		return p
	}
	for _, e := range identity.Errors(err) {
		if e.RetryAfter > 0 {
			p.RetryAfter = e.RetryAfter
		}
		if e.Field != "" {
			p.Errors = append(p.Errors, Field{Pointer: pointer(e.Field), Detail: e.Detail})
		}
		if p.Detail == "" {
			p.Detail = sentence(e)
		}
	}
	if n := len(p.Errors) - 1; n > 0 {
		p.Detail = fmt.Sprintf("%s (and %d more, see errors)", p.Detail, n)
	}
	return p
}

// sentence is what e says where its field is not shown beside it: a detail that goes
// on from the field's name is given that name.
func sentence(e *identity.Error) string {
	if first, _ := utf8.DecodeRuneInString(e.Detail); e.Field == "" || !unicode.IsLower(first) {
		return e.Detail
	}
	return strings.TrimPrefix(e.Field, "/") + " " + e.Detail
}

// Route is what logs say about where r went: the pattern that serves it, which unlike the
// path holds no secret; or how the path begins, if nothing does: a link that is good once may
// be followed with a slash too many.
func Route(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if rest != "" {
		rest = "/…"
	}
	return "/" + first + rest
}

// Write answers r with err as application/problem+json, and logs it as [Report] does.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	Report(r, err)
	if gone(r.Context(), err) {
		w.WriteHeader(statusGone)
		return
	}
	p := Of(r.Context(), err)
	h := w.Header()
	Instead(h)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", RetryAfter(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 §15.5.2 demands one
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p) // the client has left: nobody to tell
	}
}

// Instead takes away what described the answer that did not come to be.
func Instead(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified"} {
		h.Del(name)
	}
}

// RetryAfter formats d for the header of that name: whole seconds, rounded up.
func RetryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// Handle adapts a handler that returns its error: the error is written as a problem.
// A handler that has begun its answer must return nil.
func Handle(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			Write(w, r, err)
		}
	})
}

// gone reports whether err only says that the client went away.
func gone(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled)
}

// pointer makes a URI fragment of a field name: redirect_uris/0, redirect_uris.0 and
// /redirect_uris/0 are all #/redirect_uris/0.
func pointer(field string) string {
	return "#/" + strings.ReplaceAll(strings.TrimPrefix(field, "/"), ".", "/")
}
