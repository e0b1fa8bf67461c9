package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

// parseAsked reads for which resource servers, and for what in detail, q asks. Whether
// it may is answered here already: at the PAR endpoint, and before anybody signs in.
func (p *Provider) parseAsked(ctx context.Context, q *authorizeRequest, form url.Values) (err error) {
	if q.details, err = resource.ReadDetails(form.Get("authorization_details")); err != nil {
		return onWire(err)
	}
	if len(q.details) == 0 && !form.Has("resource") {
		return nil
	}
	t := identity.TenantFrom(ctx)
	err = p.lookup(ctx, func(tx *fsm.Tx) (err error) {
		if q.target, err = resource.Aim(tx, q.app, t.Issuer, form["resource"]); err != nil {
			return err
		}
		return resource.CheckDetails(tx, q.app, q.details)
	})
	return onWire(err)
}

// resources are those that q names; none: the issuer.
func (q *authorizeRequest) resources() []string {
	if q.target == nil || !q.Form.Has("resource") {
		return nil
	}
	return q.target.Audience
}

// readAnswer takes the answer to a question about consent off a query, with the sign-in
// that had been done before it.
func (p *Provider) readAnswer(ctx context.Context, rawQuery string) (before string, t *consent.Ticket) {
	before, t = p.desk.Finished(ctx, rawQuery)
	if t == nil || p.reach(ctx, t.Index) != nil {
		return before, nil // at worst the person is asked once more
	}
	return before, t
}

// consents decides whether q can be answered without asking the person. An answer that
// they have given counts in the session in which they gave it, and for one code: that
// code's family is in it, and once it is there the answer is spent, on every node.
func (p *Provider) consents(tx *fsm.Tx, q *authorizeRequest, s *session.Session) (consent.Decision, error) {
	a := consent.Asked{Scopes: q.RequestedScope, Target: q.target, Details: q.details, Claims: q.personal(), Again: q.prompts("consent")}
	if t := q.answer; t != nil && t.SessionID == s.ID {
		if t.Denied {
			return consent.Decision{}, refuse(codeAccessDenied, "The user has not allowed it.")
		}
		_, err := family.Get(tx, s.Tenant, t.Family)
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return consent.Decision{}, err
		}
		if err != nil {
			a.Allowed, q.family = t.Scopes, t.Family
			a.Confirmed = true
		}
	}
	d, err := consent.Decide(tx, q.app, s.UserID, a)
	if err != nil {
		return d, onWire(err)
	}
	return d, p.drop(tx, q, d.Scopes)
}

// drop takes from the claims that q asks for by name those of scopes that the person left out.
func (p *Provider) drop(tx *fsm.Tx, q *authorizeRequest, granted []string) error {
	for _, name := range q.RequestedScope {
		if slices.Contains(granted, name) {
			continue
		}
		s, err := resource.Describe(tx, q.app.Tenant, name)
		if err != nil {
			return err
		}
		q.claims.Drop(s.Claims)
	}
	return nil
}

// aboutSignIn are claims that say nothing of a person beyond that they signed in.
var aboutSignIn = []string{"iss", "sub", "aud", "acr", "amr", "auth_time", "nonce", "sid"}

// personal are the claims about the person that q asks for by name.
func (q *authorizeRequest) personal() []string {
	return slices.DeleteFunc(q.claims.Names(), func(name string) bool { return slices.Contains(aboutSignIn, name) })
}

// ask puts the question to the person. It costs no log entry.
func (p *Provider) ask(w http.ResponseWriter, r *http.Request, q *authorizeRequest, s *session.Session, d consent.Decision) {
	question, err := p.question(r.Context(), q, s, d)
	if err == nil { // and not before: whoever leads a person around sees to it that pages are not shown
		err = p.keep(r.Context(), q.app)
	}
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	p.consent(w, r, q.app, question)
}

func (p *Provider) question(ctx context.Context, q *authorizeRequest, s *session.Session, d consent.Decision) (*consent.Question, error) {
	switch {
	case q.prompts("none"):
		return nil, refuse(codeConsentRequired, "The user must be asked for consent.")
	case p.consent == nil:
		return nil, refuse(codeServerError, "There is no page to ask the user for consent.")
	}
	t := identity.TenantFrom(ctx)
	back, err := p.wayBack(t, q)
	if err != nil {
		return nil, err
	}
	question, err := p.desk.Ask(ctx, d, consent.Question{
		UserID: s.UserID, SessionID: s.ID, Application: q.app.ID, Family: q.family, Redirect: q.redirectURI,
		ReturnTo: basePath(t) + authorizePath + "?" + back.Encode(), Signin: q.ticket,
		Scopes: q.RequestedScope, Resources: q.resources(), Details: resource.Spell(q.details), Claims: q.personal(),
		Locales: strings.Fields(q.Form.Get("ui_locales")),
	})
	if errors.Is(err, identity.ErrInvalid) {
		return nil, refuse(codeInvalidRequest, "The request is too long to be carried through asking for consent; push it (RFC 9126).")
	}
	return question, err
}
