package login

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

// askSignOut asks, or says that there is nothing left to end. A protocol that sends a
// person here may name, in return_to, where to go afterwards.
func (l *Login) askSignOut(w http.ResponseWriter, r *http.Request) error {
	s, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	to := wayBack(r, r.URL.Query().Get("return_to"))
	if u == nil && to != "" {
		return page.Onward(w, r, to)
	}
	if u == nil {
		return signedOut(w, r, "signed_out.detail", "", nil)
	}
	return signOutPage.Write(w, r, http.StatusOK, signOutView{
		Acting: page.ActingIf(r, s.Impersonation != nil), Person: shown(u), Action: page.Base(r) + "/logout", Back: page.Base(r) + "/", ReturnTo: to,
	})
}

// signOut ends the session, or all of the user's. The cookie goes only when the session
// has ended: otherwise a person would believe to be signed out who is not.
func (l *Login) signOut(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	s, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if s != nil && s.Impersonation != nil { // where else the person is signed in is not for others to end
		return l.endImpersonation(w, r)
	}
	text := "signed_out.detail"
	var frames []string
	if u != nil {
		if frames, err = l.frames(r, s); err != nil {
			return err
		}
		ctx := identity.WithActor(r.Context(), s.Actor())
		err = l.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
			if r.PostForm.Get("everywhere") == "" {
				return session.End(tx, s.Tenant, s.ID)
			}
			_, err := session.EndAllOf(tx, s.Tenant, u.ID)
			return err
		})
		if err != nil {
			return err
		}
		if r.PostForm.Get("everywhere") != "" {
			text = "signed_out.detail_all"
		}
	}
	write(w, r, sessionCookie, "", -1)
	if read(r, ownCookie) != "" { // of an administrator whose acting as somebody else ran out
		write(w, r, ownCookie, "", -1)
	}
	return signedOut(w, r, text, wayBack(r, r.PostForm.Get("return_to")), frames)
}

// frames are what this browser must load for applications to forget the session. They
// cannot be reached in other browsers this way, so only this session counts.
func (l *Login) frames(r *http.Request, s *session.Session) (frames []string, err error) {
	if l.cfg.Frames == nil {
		return nil, nil
	}
	err = l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		frames, err = l.cfg.Frames(tx, identity.TenantFrom(r.Context()), s.UserID, s.ID)
		return err
	})
	return frames, err
}

// framesTime is how many seconds applications have to act, once their frames are loaded.
const framesTime = 1

// SignedOut tells a person that they are signed out, has the browser load the frames in
// which applications sign them out as well, and then leads on to where an application
// wants them, if to is not empty. It is the oidc room's SignedOutPage.
func SignedOut(w http.ResponseWriter, r *http.Request, frames []string, to string) {
	if err := signedOut(w, r, "signed_out.detail", to, frames); err != nil {
		page.Fail(w, r, err)
	}
}

// signedOut says so, and leads on to what waits for it.
func signedOut(w http.ResponseWriter, r *http.Request, text, to string, frames []string) error {
	view := signedOutView{messageView: messageView{
		Title: site.Text(r, "signed_out.title"), Detail: site.Text(r, text),
		Link: template.URL(page.Base(r) + "/login"), Label: site.Text(r, "signed_out.link"),
	}}
	view.Frames = page.Frames(frames)
	if to != "" {
		wait := 0
		if len(view.Frames) > 0 {
			wait = framesTime
		}
		page.LeaveAfter(w, wait, to)
		view.Link, view.Label = ownScheme(to), site.Text(r, "continue")
	}
	return signedOutPage.WriteFraming(w, r, http.StatusOK, view, view.Frames)
}

// endSession is the one path that return_to may lead to. It checks by itself which
// application may be returned to (OpenID Connect RP-Initiated Logout §3).
const endSession = "/oauth2/logout?"

// wayBack is to if it may be gone to after signing out, else empty.
func wayBack(r *http.Request, to string) string {
	const longest = 8 << 10
	query, ok := strings.CutPrefix(to, page.Base(r)+endSession)
	if !ok || len(to) > longest || strings.ContainsFunc(query, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return ""
	}
	return to
}

// Denied tells a person that they may not use an application; back leads there, with the
// error. It is the oidc room's DeniedPage.
func Denied(w http.ResponseWriter, r *http.Request, application, back string) {
	err := messagePage.Write(w, r, http.StatusForbidden, messageView{
		Title: site.Text(r, "denied.title"), Detail: site.Text(r, "denied.detail", application),
		Link: ownScheme(back), Label: site.Text(r, "denied.link", application),
		Reference: identity.RequestFrom(r.Context()).ID,
	})
	if err != nil {
		page.Fail(w, r, err)
	}
}

// ownScheme lets a link lead to an application's own scheme, as native ones have, which
// the template would refuse; but to no scheme that a browser runs by itself.
func ownScheme(link string) template.URL {
	u, err := url.Parse(link)
	if err != nil || u.Scheme == "javascript" || u.Scheme == "data" || u.Scheme == "vbscript" || u.Scheme == "blob" {
		return "/"
	}
	return template.URL(link)
}
