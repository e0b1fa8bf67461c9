package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/identity"
)

// location is the redirect URI with params, in the place that the response mode says.
func (q *authorizeRequest) location(params url.Values) string {
	if q.ResponseMode == fosite.ResponseModeFragment {
		return q.redirectURI + "#" + params.Encode()
	}
	switch {
	case !strings.Contains(q.redirectURI, "?"):
		return q.redirectURI + "?" + params.Encode()
	case strings.HasSuffix(q.redirectURI, "?"), strings.HasSuffix(q.redirectURI, "&"):
		return q.redirectURI + params.Encode()
	}
	return q.redirectURI + "&" + params.Encode()
}

// redirect leaves with a 303: the way here was a GET, so that no form-action of a
// page of ours applies to where it leads.
func redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// writeAuthorizeError sends err to the application if there is a redirect URI to
// trust, with iss (RFC 9207) and state, and shows it to the person otherwise.
func (p *Provider) writeAuthorizeError(w http.ResponseWriter, r *http.Request, q *authorizeRequest, err error) {
	e := registered(err)
	p.note(r, e.CodeField, err)
	if errors.As(err, new(errUntrusted)) {
		w.Header().Set("Cache-Control", "no-store")
		if e.CodeField == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		p.page(w, r, e.CodeField, "Sign-in cannot go on", e.DescriptionField)
		return
	}
	redirect(w, q.location(p.errorParams(r, q, e)))
}

func (p *Provider) errorParams(r *http.Request, q *authorizeRequest, e *fosite.RFC6749Error) url.Values {
	params := url.Values{"error": {e.ErrorField}, "iss": {identity.TenantFrom(r.Context()).Issuer}}
	if e.DescriptionField != "" {
		params.Set("error_description", e.DescriptionField)
	}
	if q.State != "" {
		params.Set("state", q.State)
	}
	return params
}
