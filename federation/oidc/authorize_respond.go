package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys"
)

// signedLifetime is how long a signed response is good; JARM, section 2.1, wants at most 10 minutes.
const signedLifetime = 2 * time.Minute

// reaches reports whether the redirect URI of q can be answered in this mode: a form
// cannot be posted to a native application's own scheme.
func reaches(q *authorizeRequest, m front.Mode) bool {
	if !m.Posts() {
		return true
	}
	_, ok := front.PostSource(q.redirectURI)
	return ok
}

// respond sends params to the application in the mode that it asked for. If that cannot be done
// now, the person is told: sent in another way it might be believed by whoever should not.
func (p *Provider) respond(w http.ResponseWriter, r *http.Request, q *authorizeRequest, params url.Values) {
	params, err := p.signed(r.Context(), q, params)
	switch {
	case err != nil:
		p.writeAuthorizeError(w, r, q, errUntrusted{err})
	case q.mode.Posts():
		source, _ := front.PostSource(q.redirectURI)
		p.post(w, r, PostedForm{Application: q.app.DisplayName(), Action: q.redirectURI, Source: source, Fields: params})
	default:
		redirect(w, q.mode.Location(q.redirectURI, params))
	}
}

// location is where a link leads that brings params to the application. A link cannot post, so a
// mode that would is replaced by its like in the query.
func (p *Provider) location(r *http.Request, q *authorizeRequest, params url.Values) (string, error) {
	params, err := p.signed(r.Context(), q, params)
	mode := q.mode
	if mode.Posts() {
		mode = front.Query
	}
	return mode.Location(q.redirectURI, params), err
}

// signed returns params as one JWT if the mode is of JARM's, else as they are. iss is in
// the JWT then, and not outside (RFC 9207, section 2).
func (p *Provider) signed(ctx context.Context, q *authorizeRequest, params url.Values) (url.Values, error) {
	if !q.mode.Signed() {
		return params, nil
	}
	t := identity.TenantFrom(ctx)
	claims := map[string]any{}
	for name := range params {
		claims[name] = params.Get(name)
	}
	claims["iss"], claims["aud"], claims["exp"] = t.Issuer, q.app.ClientID, p.db.Now().Add(signedLifetime).Unix()
	alg := algOf(q.app)
	if q.app.Requests.ResponseAlg != "" {
		alg = keys.Alg(q.app.Requests.ResponseAlg)
	}
	token, err := p.keys.Sign(ctx, t.ID, alg, "", claims)
	if errors.Is(err, fsm.ErrNotFound) {
		if err = p.keys.Ensure(ctx, t.ID, alg); err == nil {
			token, err = p.keys.Sign(ctx, t.ID, alg, "", claims)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signed authorization response: %w", err)
	}
	return url.Values{"response": {token}}, nil
}

// redirect leaves with a 303: the way here was a GET, so that no form-action of a
// page of ours applies to where it leads, and a browser never sends a body on (RFC 9700,
// section 4.12).
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
	p.respond(w, r, q, p.errorParams(r, q, e))
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

// A PostedForm is an authorization response on a page (OAuth 2.0 Form Post Response Mode): the browser
// sends it on, by itself where scripts run, with a button where they do not.
type PostedForm struct {
	Application string     // its name, for the person to read
	Action      string     // where the form goes: a registered redirect URI
	Source      string     // that the policy of the page must allow forms to go to
	Fields      url.Values // one value each
}
