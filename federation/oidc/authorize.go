package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

const authorizePath = "/oauth2/authorize"

// authorize is the authorization endpoint. It writes nothing to the log: it
// validates, looks for a session that is good enough, and answers with a sealed
// code, or hands the person to sign-in, which leads back here.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q, err := p.readAuthorize(r)
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	s, err := p.currentSession(r)
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	d, err := p.need(r.Context(), q, s)
	switch {
	case err != nil:
		p.writeAuthorizeError(w, r, q, err)
	case d != nothing && q.prompts("none"):
		p.writeAuthorizeError(w, r, q, refuse(codeLoginRequired, "The user must sign in."))
	case d == enrolment, d == boundEnrolment:
		p.enrol(w, r, q, d)
	case d != nothing:
		p.signIn(w, r, q, d == proof && s != nil)
	default:
		p.issue(w, r, q, s)
	}
}

// authorizePost takes the same request as a form. It goes on as a GET, for two
// reasons: a form posted from elsewhere carries no SameSite=Lax cookie, and what
// follows may lead to another origin, which a posting page's form-action would block.
func (p *Provider) authorizePost(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil && form == nil {
		p.writeAuthorizeError(w, r, nil, errUntrusted{err})
		return
	}
	redirect(w, basePath(identity.TenantFrom(r.Context()))+authorizePath+"?"+form.Encode())
}

// currentSession returns the session of the browser, or nil.
func (p *Provider) currentSession(r *http.Request) (*session.Session, error) {
	t := identity.TenantFrom(r.Context())
	c, err := r.Cookie(p.cookie(t))
	if err != nil {
		return nil, nil
	}
	s, err := p.sessions.Find(r.Context(), t.ID, c.Value)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return nil, nil
	}
	return s, err
}

// issue answers with a code, if the person may use the application and has allowed it
// what it asks for.
func (p *Provider) issue(w http.ResponseWriter, r *http.Request, q *authorizeRequest, s *session.Session) {
	ctx := r.Context()
	allowed, fleeting, g := false, false, granted{q: q, s: s}
	var d consent.Decision
	err := p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		g.now, g.index = tx.Now(), tx.Index()
		if err := unused(tx, q); err != nil {
			return err
		}
		if allowed, err = federation.MayUse(tx, q.app, s.UserID); err != nil || !allowed {
			return err
		}
		err = regain.MayGrant(tx, q.app.Tenant, s)
		if fleeting = errors.Is(err, identity.ErrDenied); err != nil && !fleeting {
			return err
		}
		d, err = p.consents(tx, q, s)
		return err
	})
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	if !allowed {
		p.refuseUser(w, r, q)
		return
	}
	if d.Ask {
		p.ask(w, r, q, s, d)
		return
	}
	if err := p.keep(ctx, q.app); err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	q.GrantedScope = d.Scopes
	if fleeting { // nothing of it stays after the session
		q.GrantedScope = slices.DeleteFunc(slices.Clone(d.Scopes), func(name string) bool { return name == federation.ScopeOffline })
	}
	resp, err := p.fosite.NewAuthorizeResponse(context.WithValue(ctx, grantedKey{}, g), q, &exchange{subject: s.UserID})
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	p.respond(w, r, q, resp.GetParameters())
}

// unused refuses a sealed request of which an authorization has come already: who loads the page
// again would get a code whose exchange counts as a replay, and ends that authorization.
func unused(tx *fsm.Tx, q *authorizeRequest) error {
	if !q.pushed && !q.signed {
		return nil
	}
	_, err := family.Get(tx, q.app.Tenant, q.family)
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return refuse(codeInvalidRequestURI, "The request_uri was used already.")
}

// refuseUser tells a person that they may not use the application, before any code exists.
func (p *Provider) refuseUser(w http.ResponseWriter, r *http.Request, q *authorizeRequest) {
	e := refuse(codeAccessDenied, "The user may not use this application.")
	if p.denied == nil || q.prompts("none") {
		p.writeAuthorizeError(w, r, q, e)
		return
	}
	back, err := p.location(r, q, p.errorParams(r, q, e))
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	p.denied(w, r, q.app.DisplayName(), back)
}

type grantedKey struct{}

// granted is what the handler of response_type=code needs beyond fosite's request.
type granted struct {
	q     *authorizeRequest
	s     *session.Session
	now   time.Time
	index uint64 // of the state that was asked
}

// issueCode seals the code. It is fosite's handler of the authorization endpoint.
type issueCode struct{ p *Provider }

// HandleAuthorizeEndpointRequest implements fosite.AuthorizeEndpointHandler.
func (h issueCode) HandleAuthorizeEndpointRequest(ctx context.Context, req fosite.AuthorizeRequester, resp fosite.AuthorizeResponder) error {
	g, ok := ctx.Value(grantedKey{}).(granted)
	if !ok || !req.GetResponseTypes().ExactOne("code") {
		return refuse(codeUnsupportedResponseType, "Only response_type=code is supported.")
	}
	t := identity.TenantFrom(ctx)
	code, err := family.SealCode(h.p.ring, t.ID, g.q.app.ClientID, &family.Code{
		Grant: family.Grant{
			Family: g.q.family, Scope: g.q.GrantedScope, UserID: g.s.UserID, SessionID: g.s.ID, Nonce: g.q.nonce,
			AuthTime: g.s.AuthTime.Unix(), AMR: g.s.AMR, ACR: assurance.Answer(g.q.acr, g.s.Level()), Index: g.index, Claims: g.q.claims.Text(),
			Resources: g.q.resources(), Details: resource.Spell(g.q.details), JKT: g.q.jkt, Impersonator: g.s.Impersonator(),
		},
		RedirectURI: g.q.redirectURI, Challenge: g.q.challenge, Issued: g.now.UnixMilli(),
	})
	if err != nil {
		return err
	}
	if len(code) > family.MaxCode {
		return refuse(codeInvalidRequest, "The request asks for more than a code can carry.")
	}
	resp.AddParameter("code", code)
	resp.AddParameter("iss", t.Issuer)
	if req.GetState() != "" {
		resp.AddParameter("state", req.GetState())
	}
	req.SetResponseTypeHandled("code")
	return nil
}
