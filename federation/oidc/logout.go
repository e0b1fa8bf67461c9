package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

const logoutPath = "/oauth2/logout"

// A goodbye is a validated logout request.
type goodbye struct {
	form url.Values
	hint *idToken
	app  *federation.Application // nil: the request names none
	to   string                  // registered post_logout_redirect_uri; empty: none
}

// logout is the end-session endpoint (OpenID Connect RP-Initiated Logout). With an
// ID token of the session it ends the session at once. Without one anybody could
// have sent the person here, so the page at LogoutURL asks first; it may lead back
// here with the path and query it finds in its parameter return_to.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	g, err := p.readGoodbye(r)
	if err != nil {
		e := registered(err)
		p.note(r, e.CodeField, err)
		p.page(w, r, e.CodeField, "Signing out cannot go on", e.DescriptionField)
		return
	}
	s, err := p.currentSession(r)
	var meant *session.Session
	if err == nil {
		meant, err = p.leaving(r.Context(), g, s)
	}
	if err == nil && s != nil && meant == nil {
		p.askFirst(w, r, g)
		return
	}
	var frames []string
	if err == nil && meant != nil {
		frames, err = p.end(r.Context(), meant)
	}
	if err != nil {
		p.note(r, registered(err).CodeField, err)
		w.Header().Set("Retry-After", "1")
		p.page(w, r, registered(err).CodeField, "You are still signed in", "Signing out could not be stored right now. Try again.")
		return
	}
	p.clearCookie(w, r)
	if len(frames) > 0 && p.goodbye != nil {
		p.goodbye(w, r, frames, g.returnTo())
		return
	}
	redirect(w, p.farewell(r, g))
}

// logoutPost takes the same request as a form and goes on as a GET, which carries
// the session's SameSite=Lax cookie even if the form was posted from elsewhere.
func (p *Provider) logoutPost(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil {
		p.page(w, r, registered(err).CodeField, "Signing out cannot go on", registered(err).DescriptionField)
		return
	}
	redirect(w, basePath(identity.TenantFrom(r.Context()))+logoutPath+"?"+form.Encode())
}

// leaving returns the session that the hint is enough to end without asking: that of this
// browser, s, if the hint was issued in it, or, if there is none in this browser, the one
// that the hint names, if it stands and is the same user's. nil: there is none.
func (p *Provider) leaving(ctx context.Context, g *goodbye, s *session.Session) (*session.Session, error) {
	if g.hint == nil || g.app == nil || s != nil && s.ID != g.hint.Session {
		return nil, nil
	}
	err := p.lookup(ctx, func(tx *fsm.Tx) (err error) {
		if s == nil {
			if s, err = session.Get(tx, g.app.Tenant, g.hint.Session); err != nil {
				return err
			}
		}
		theirs, err := federation.IsSubject(tx, g.app, g.hint.Subject, s.UserID)
		if !theirs {
			s = nil
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

func (p *Provider) readGoodbye(r *http.Request) (*goodbye, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, refuse(codeInvalidRequest, "The request is too long.")
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = once(form)
	}
	if err != nil {
		return nil, refuse(codeInvalidRequest, "The request cannot be read.")
	}
	g := &goodbye{form: form}
	if g.hint, err = p.readHint(r.Context(), form.Get("id_token_hint")); err != nil {
		return nil, err
	}
	return g, p.readReturn(r.Context(), g)
}

// readReturn finds the application and checks that it has registered where it wants the person to go.
func (p *Provider) readReturn(ctx context.Context, g *goodbye) error {
	id := g.form.Get("client_id")
	if g.hint != nil {
		if id != "" && id != g.hint.Audience {
			return refuse(codeInvalidRequest, "The client_id and the id_token_hint name different applications.")
		}
		id = g.hint.Audience
	}
	uri := g.form.Get("post_logout_redirect_uri")
	if id == "" {
		if uri != "" {
			return refuse(codeInvalidRequest, "The address to go back to needs an application that it belongs to.")
		}
		return nil
	}
	app, err := p.application(ctx, id)
	if errors.Is(err, fsm.ErrNotFound) {
		return refuse(codeInvalidRequest, "There is no such application.")
	}
	if err != nil {
		return err
	}
	if uri != "" && !app.MatchPostLogoutURI(uri) {
		return refuse(codeInvalidRequest, "The address to go back to is not registered for this application.")
	}
	if app.Disabled { // people may sign out with it, and are not sent to it
		uri = ""
	}
	g.app, g.to = app, uri
	return nil
}

// end ends the session: one log entry, or none if it is gone already. It returns what
// the browser must load for applications to forget it.
func (p *Provider) end(ctx context.Context, s *session.Session) (frames []string, err error) {
	ctx = identity.WithActor(ctx, s.Actor())
	err = p.db.Update(ctx, func(tx *fsm.Tx) error { return session.End(tx, s.Tenant, s.ID) })
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *fsm.Tx) error {
		frames, err = logout.Frames(tx, s.Tenant, identity.TenantFrom(ctx).Issuer, s.UserID, s.ID)
		return err
	})
	if err != nil { // they are signed out here, and the back channel tells the rest
		p.log.WarnContext(ctx, "front-channel logout left out", "error", err)
	}
	return frames, nil
}

// askFirst leads to the page that asks whether to sign out, with the way back.
func (p *Provider) askFirst(w http.ResponseWriter, r *http.Request, g *goodbye) {
	base := basePath(identity.TenantFrom(r.Context()))
	back := url.Values{}
	for _, name := range []string{"client_id", "post_logout_redirect_uri", "state"} {
		if v := g.form.Get(name); v != "" {
			back.Set(name, v)
		}
	}
	if g.app != nil {
		back.Set("client_id", g.app.ClientID)
	}
	to := base + p.logoutAt
	if len(back) > 0 {
		to += "?" + url.Values{"return_to": {base + logoutPath + "?" + back.Encode()}}.Encode()
	}
	redirect(w, to)
}

// farewell is where the person goes: back to the application with its state, or
// to the page that says that they are signed out.
func (p *Provider) farewell(r *http.Request, g *goodbye) string {
	if g.to == "" {
		return basePath(identity.TenantFrom(r.Context())) + p.logoutAt
	}
	return g.returnTo()
}

// returnTo is where the application wants the person; empty: nowhere.
func (g *goodbye) returnTo() string {
	state := g.form.Get("state")
	if g.to == "" || state == "" {
		return g.to
	}
	sep := "?"
	if strings.Contains(g.to, "?") {
		sep = "&"
	}
	return g.to + sep + url.Values{"state": {state}}.Encode()
}

func (p *Provider) clearCookie(w http.ResponseWriter, r *http.Request) {
	t := identity.TenantFrom(r.Context())
	http.SetCookie(w, &http.Cookie{
		Name: p.cookie(t), Path: "/", MaxAge: -1, HttpOnly: true,
		Secure: strings.HasPrefix(t.Issuer, "https://"), SameSite: http.SameSiteLaxMode,
	})
}
