package login

import (
	"html/template"
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

// askSignOut asks, or says that there is nothing left to end.
func (l *Login) askSignOut(w http.ResponseWriter, r *http.Request) error {
	_, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if u == nil {
		return signedOut(w, r, "signed_out.detail")
	}
	return signOutPage.Write(w, r, http.StatusOK, signOutView{
		Person: shown(u), Action: page.Base(r) + "/logout", Back: page.Base(r) + "/",
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
	return signedOut(w, r, text)
}

func signedOut(w http.ResponseWriter, r *http.Request, text string) error {
	return messagePage.Write(w, r, http.StatusOK, messageView{
		Title: english.Text("signed_out.title"), Detail: english.Text(text),
		Link: template.URL(page.Base(r) + "/login"), Label: english.Text("signed_out.link"),
	})
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
