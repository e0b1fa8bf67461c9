package oidc

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
)

const (
	maxBody  = 32 << 10 // bytes of any request of ours
	maxQuery = 16 << 10 // bytes
)

var errTooLarge = func() error {
	e := refuse(codeInvalidRequest, "The request is too large.")
	e.CodeField = http.StatusRequestEntityTooLarge
	return e
}()

// readForm returns the parameters in the body of r, and only those. The body
// must be form-encoded: fosite would take multipart as well.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, refuse(codeInvalidRequest, "The body must be of type application/x-www-form-urlencoded.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, errTooLarge
		}
		return nil, refuse(codeInvalidRequest, "The body cannot be read as form parameters.")
	}
	return r.PostForm, once(r.PostForm)
}

// once refuses parameters that are given more than once (RFC 6749, sections 3.1 and 3.2),
// but for the one that may be (RFC 8707, section 2).
func once(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return refuse(codeInvalidRequest, "A parameter is included more than once.")
		}
	}
	return nil
}

// parseScope splits a scope parameter. ok is false if it is malformed.
func parseScope(text string) (scopes []string, ok bool) {
	for _, s := range strings.Fields(text) {
		if !federation.ValidScope(s) || len(scopes) >= 100 {
			return nil, false
		}
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes, true
}

// allowedScopes reads a scope parameter and refuses, by its name, what the application may
// not ask for; a scope holds nothing that could not stand in an error (RFC 6749, section
// 3.3). offline_access is ignored where it cannot be had (OpenID Connect Core, section 11).
func allowedScopes(text string, app *federation.Application) ([]string, error) {
	scopes, ok := parseScope(text)
	if !ok {
		return nil, refuse(codeInvalidScope, "The scope is malformed.")
	}
	if !app.Allows(federation.GrantRefresh) {
		scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == federation.ScopeOffline })
	}
	for _, s := range scopes {
		if !slices.Contains(app.AllowedScopes, s) {
			return nil, refuse(codeInvalidScope, "The application may not ask for the scope "+s+".")
		}
	}
	return scopes, nil
}

func subset(some, all []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

func intersect(some, all []string) []string {
	var both []string
	for _, s := range some {
		if slices.Contains(all, s) {
			both = append(both, s)
		}
	}
	return both
}
