package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
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
	need, err := p.need(r.Context(), q, s)
	switch {
	case err != nil:
		p.writeAuthorizeError(w, r, q, err)
	case need && q.prompts("none"):
		p.writeAuthorizeError(w, r, q, refuse(codeLoginRequired, "The user must sign in."))
	case need:
		p.signIn(w, r, q, s != nil)
	default:
		p.issue(w, r, q, s)
	}
}

func (p *Provider) readAuthorize(r *http.Request) (*authorizeRequest, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, errUntrusted{refuse(codeInvalidRequest, "The request is too long.")}
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errUntrusted{refuse(codeInvalidRequest, "The request cannot be read.")}
	}
	form.Del(authn.TicketParameter)
	q, err := p.parseAuthorize(r.Context(), form)
	if t, ok := p.flows.Finished(r.Context(), r.URL.RawQuery); ok {
		q.ticket = &t
	}
	return q, err
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

// need reports whether the person must sign in before q can be answered.
func (p *Provider) need(ctx context.Context, q *authorizeRequest, s *session.Session) (bool, error) {
	if s == nil {
		return true, nil
	}
	just := q.ticket != nil && q.ticket.SessionID == s.ID
	again := q.prompts("login") || q.prompts("select_account") || q.maxAge == 0
	if q.maxAge != anyAge && time.Since(s.AuthTime) > time.Duration(q.maxAge)*time.Second {
		again = true
	}
	if again && !just {
		return true, nil
	}
	hint, err := p.readHint(ctx, q.idTokenHint)
	switch {
	case err != nil:
		return false, err
	case hint == nil && q.idTokenHint != "" && q.prompts("none"):
		// Who is meant cannot be told, so it cannot be confirmed that they are signed in.
		return true, nil
	case hint == nil || hint.Subject == s.UserID:
		return false, nil
	case just:
		return false, refuse(codeLoginRequired, "Another user signed in than the one asked for.")
	}
	return true, nil
}

// issue answers with a code, if the person may use the application.
func (p *Provider) issue(w http.ResponseWriter, r *http.Request, q *authorizeRequest, s *session.Session) {
	ctx := r.Context()
	allowed, g := false, granted{q: q, s: s}
	err := p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		g.now, g.index = tx.Now(), tx.Index()
		allowed, err = federation.MayUse(tx, q.app, s.UserID)
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
	resp, err := p.fosite.NewAuthorizeResponse(context.WithValue(ctx, grantedKey{}, g), q, &exchange{subject: s.UserID})
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	redirect(w, q.location(resp.GetParameters()))
}

// refuseUser tells a person that they may not use the application, before any code exists.
func (p *Provider) refuseUser(w http.ResponseWriter, r *http.Request, q *authorizeRequest) {
	e := refuse(codeAccessDenied, "The user may not use this application.")
	if p.denied == nil || q.prompts("none") {
		p.writeAuthorizeError(w, r, q, e)
		return
	}
	p.denied(w, r, q.app.DisplayName(), q.location(p.errorParams(r, q, e)))
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
			Family: family.NewID(), Scope: g.q.GrantedScope, UserID: g.s.UserID, SessionID: g.s.ID, Nonce: g.q.nonce,
			AuthTime: g.s.AuthTime.Unix(), AMR: g.s.AMR, ACR: g.s.ACR, Index: g.index,
		},
		RedirectURI: g.q.redirectURI, Challenge: g.q.challenge, Issued: g.now.UnixMilli(),
	})
	if err != nil {
		return err
	}
	resp.AddParameter("code", code)
	resp.AddParameter("iss", t.Issuer)
	if req.GetState() != "" {
		resp.AddParameter("state", req.GetState())
	}
	req.SetResponseTypeHandled("code")
	return nil
}
