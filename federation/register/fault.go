package register

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// Error codes of RFC 7591, section 3.2.2, RFC 6750, section 3.1, and RFC 6749.
const (
	codeMetadata    = "invalid_client_metadata"
	codeRedirectURI = "invalid_redirect_uri"
	codeStatement   = "unapproved_software_statement"
	codeToken       = "invalid_token"
	codeDenied      = "access_denied"
	codeRequest     = "invalid_request"
	codeUnavailable = "temporarily_unavailable"
	codeServer      = "server_error"
)

var statusOf = map[string]int{
	codeMetadata: 400, codeRedirectURI: 400, codeStatement: 400, codeRequest: 400, codeToken: 401, codeDenied: 403, codeUnavailable: 503, codeServer: 500,
}

// A Fault is why a registration is refused, in words for the developer of the application.
type Fault struct{ Code, Detail string }

func (f *Fault) Error() string { return f.Code + ": " + f.Detail }

func fault(code, detail string) error { return &Fault{code, plain(detail)} }

// errBadToken says the same of every token that is not good.
var errBadToken = fault(codeToken, "The access token is missing, wrong, spent or expired.")

// plain keeps to the characters that an error_description may have (RFC 6749, section 5.2).
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < 0x20 || r > 0x7e:
			return -1
		}
		return r
	}, s)
}

// faultOf turns what the rules of applications refuse into a fault on the wire.
func faultOf(err error) *Fault {
	var f *Fault
	var invalid *identity.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &invalid) && errors.Is(err, identity.ErrInvalid):
		code := codeMetadata
		if invalid.Field == "redirect_uris" {
			code = codeRedirectURI
		}
		return &Fault{code, plain(wireName(invalid.Field) + " " + invalid.Detail + ".")}
	case errors.Is(err, identity.ErrLimited):
		return &Fault{codeUnavailable, "Too many requests, try again later."}
	}
	for _, kind := range []error{fsm.ErrUnavailable, fsm.ErrUnknown, fsm.ErrConflict, fsm.ErrClosed, context.DeadlineExceeded, context.Canceled, seal.ErrSealed} {
		if errors.Is(err, kind) {
			return &Fault{codeUnavailable, "The service cannot decide this right now, try again."}
		}
	}
	return &Fault{codeServer, "Something went wrong on our side."}
}

// wireName is what a field is called in client metadata, where that differs from our name.
func wireName(field string) string {
	names := map[string]string{
		"name": "client_name", "post_logout_uris": "post_logout_redirect_uris", "icon_url": "logo_uri", "allowed_scopes": "scope", "signing_alg": "id_token_signed_response_alg",
	}
	if n, ok := names[field]; ok {
		return n
	}
	return field
}

// refuse answers err.
func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := faultOf(err)
	status := statusOf[f.Code]
	switch {
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case errors.Is(err, identity.ErrLimited):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(err)))
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		e.cfg.Logger.WarnContext(r.Context(), "registration not decided", "error", err)
	case status >= 500:
		e.cfg.Logger.ErrorContext(r.Context(), "registration failed", "error", err)
	}
	answer(w, status, map[string]string{"error": f.Code, "error_description": f.Detail})
}

func retryAfter(err error) int {
	var e *identity.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return int(e.RetryAfter/time.Second) + 1
	}
	return 1
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has left: nobody to tell
}
