package oidc

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/identity"
)

// writeJSON answers with v, which no cache may keep.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

type errorBody struct {
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
}

// writeError answers err as RFC 6749, section 5.2, says, and returns the code it
// used. What is our own fault goes to the log.
func (p *Provider) writeError(w http.ResponseWriter, r *http.Request, err error) string {
	e := registered(err)
	p.note(r, e.CodeField, err)
	switch e.CodeField {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="`+quoted(identity.TenantFrom(r.Context()).Issuer)+`"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, e.CodeField, errorBody{e.ErrorField, e.DescriptionField})
	return e.ErrorField
}

// note logs errors that are not the client's.
func (p *Provider) note(r *http.Request, status int, err error) {
	switch {
	case status == http.StatusServiceUnavailable:
		p.log.WarnContext(r.Context(), "oidc request not decided", "path", r.URL.Path, "error", err)
	case status >= http.StatusInternalServerError:
		p.log.ErrorContext(r.Context(), "oidc request failed", "path", r.URL.Path, "error", err)
	}
}

func quoted(s string) string { return strings.NewReplacer(`"`, "", `\`, "").Replace(s) }

// crossOrigin lets scripts of other origins read the answer. These endpoints
// look at what the request carries and at no cookie, so there is nothing to borrow.
func crossOrigin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, "+dpopNonce)
		next(w, r)
	}
}

func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+dpopHeader)
	h.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
}
