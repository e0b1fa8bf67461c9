package api

import (
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
)

const (
	maxBody = 1 << 20
	maxForm = 64 << 10 // what a browser or an OAuth client sends
)

var errPanic = errors.New("handler panicked")

// secure is what every answer carries; handlers may tighten it. All answers share the values, which
// http.Header replaces and never writes into.
func secure(https bool) http.Header {
	h := http.Header{
		"Content-Security-Policy": {page.ContentSecurityPolicy},
		"X-Content-Type-Options":  {"nosniff"},
		// Not no-referrer: with that, browsers send "Origin: null" with our own forms.
		"Referrer-Policy":              {"same-origin"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {"camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"},
	}
	if https {
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
	return h
}

// limitBody bounds what a handler can read of r, and refuses at once what says itself
// that it is larger.
func limitBody(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost && r.URL.Path == "/api/v1/cluster/restore" {
		return nil // a backup; the handler bounds it, once it knows who sends it
	}
	limit := int64(maxBody)
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/x-www-form-urlencoded", "multipart/form-data":
		limit = maxForm
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the body is not read; nothing else can follow on this connection
		return fmt.Errorf("body of %d bytes: %w", r.ContentLength, problem.ErrTooLarge)
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	return nil
}

// protocolPaths may be posted to from other sites: by applications in the browser, which
// authenticate themselves, or because the protocol says so (OIDC Core §3.1.2.1, RP-Initiated
// Logout §2). None of them acts on a session cookie alone, and browsers do not send ours
// with a cross-site post (SameSite=Lax).
var protocolPaths = []string{
	"/oauth2/authorize", "/oauth2/token", "/oauth2/par", "/oauth2/userinfo", "/oauth2/introspect",
	"/oauth2/revoke", "/oauth2/device_authorization", "/oauth2/bc-authorize", "/oauth2/register", "/oauth2/register/{client_id}", "/oauth2/logout",
}

// crossOrigin refuses unsafe requests that a browser made for another site.
func crossOrigin(publicURL string, patterns []string) (*http.CrossOriginProtection, error) {
	c := http.NewCrossOriginProtection()
	if err := c.AddTrustedOrigin(publicURL); err != nil { // for a proxy that changes the Host header
		return nil, fmt.Errorf("public URL: %w", err)
	}
	for _, p := range append(protocolPaths, patterns...) {
		c.AddInsecureBypassPattern(p)
	}
	return c, nil
}
