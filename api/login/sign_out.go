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
	_, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	to := wayBack(r, r.URL.Query().Get("return_to"))
	if u == nil && to != "" {
		return onward(w, r, to)
	}
	if u == nil {
		return signedOut(w, r, "signed_out.detail", "")
	}
	return signOutPage.Write(w, r, http.StatusOK, signOutView{
		Person: shown(u), Action: page.Base(r) + "/logout", Back: page.Base(r) + "/", ReturnTo: to,
	})
}

// signOut ends the session, or all of the user's. The cookie goes only when the session
// has ended: otherwise a person would believe to be signed out who is not.
func (l *Login) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	s, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	text := "signed_out.detail"
	if u != nil {
		ctx := identity.WithActor(r.Context(), identity.Actor{Kind: identity.ActorUser, ID: u.ID, SessionID: s.ID})
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
	return signedOut(w, r, text, wayBack(r, r.PostForm.Get("return_to")))
}

// signedOut says so, and leads on to a protocol that waits for it.
func signedOut(w http.ResponseWriter, r *http.Request, text, to string) error {
	view := messageView{
		Title: english.Text("signed_out.title"), Detail: english.Text(text),
		Link: template.URL(page.Base(r) + "/login"), Label: english.Text("signed_out.link"),
	}
	if to != "" {
		page.Leave(w, to)
		view.Link, view.Label = template.URL(to), english.Text("leaving.link")
	}
	return messagePage.Write(w, r, http.StatusOK, view)
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
		Title: english.Text("denied.title"), Detail: english.Text("denied.detail", application),
		Link: ownScheme(back), Label: english.Text("denied.link", application),
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
