package login

import (
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/session"
)

// ownCookie keeps an administrator's own session while they act as somebody else, so that they are
// themselves again afterwards.
const ownCookie = "quis_own"

// impersonateView asks an administrator whether to begin.
type impersonateView struct {
	Person, By   person
	Reason, Life string
	Action, Back string
}

var impersonatePage = page.Page[impersonateView](site, "templates/impersonate.html")

// offer opens the ticket of the path. Without one it has answered that the link is dead, or err
// says why not. Tickets are sealed, so that nobody guesses any, but opening them is work.
func (l *Login) offer(w http.ResponseWriter, r *http.Request) (*impersonation.Offer, error) {
	wait, giveBack := l.admit(r, ruleImpersonation)
	if wait > 0 {
		return nil, identity.Limited("", wait)
	}
	o, err := l.cfg.Offers.Open(r.Context(), r.PathValue("ticket"))
	if errors.Is(err, impersonation.ErrDead) {
		return nil, deadOffer(w, r)
	}
	giveBack()
	return o, err
}

func deadOffer(w http.ResponseWriter, r *http.Request) error {
	return DeadLink(w, r, site.Text(r, "impersonate.dead.detail"))
}

// askImpersonate says what is about to begin. It changes nothing: programs follow links, too.
func (l *Login) askImpersonate(w http.ResponseWriter, r *http.Request) error {
	o, err := l.offer(w, r)
	if o == nil {
		return err
	}
	var as, by *directory.User
	err = l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		if as, _, err = directory.GetUser(tx, o.Tenant, o.UserID); err == nil {
			by, _, err = directory.GetUser(tx, o.By.Tenant, o.By.UserID)
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // deleted since
		return deadOffer(w, r)
	}
	if err != nil {
		return err
	}
	return impersonatePage.Write(w, r, http.StatusOK, impersonateView{
		Person: shown(as), By: shown(by), Reason: o.By.Reason, Life: language.Duration(page.Language(r), o.Life),
		Action: r.URL.Path, Back: page.Base(r) + "/",
	})
}

// impersonate begins. The session that the browser has is put aside, not ended.
func (l *Login) impersonate(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	s, _, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if s != nil && s.Impersonation != nil {
		return session.ErrImpersonated
	}
	o, err := l.offer(w, r)
	if o == nil {
		return err
	}
	cookie, acting, err := l.cfg.Offers.Use(r.Context(), o)
	switch {
	case errors.Is(err, impersonation.ErrDead):
		return deadOffer(w, r)
	case errors.Is(err, identity.ErrDenied): // since the link was made
		return refused(w, r, err)
	case err != nil:
		return err
	}
	life := acting.Expires.Sub(acting.AuthTime)
	if s != nil {
		write(w, r, ownCookie, read(r, sessionCookie), life)
	}
	write(w, r, sessionCookie, cookie, life)
	return page.Onward(w, r, page.Base(r)+"/account")
}

// endImpersonation ends it, and gives the browser back the session that it had before.
func (l *Login) endImpersonation(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	s, _, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if s != nil && s.Impersonation == nil { // ended already; this is the person themselves
		return page.Onward(w, r, page.Base(r)+"/")
	}
	if s != nil {
		ctx := identity.WithActor(r.Context(), s.Actor())
		if err := l.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return session.End(tx, s.Tenant, s.ID) }); err != nil {
			return err
		}
	}
	if err := l.resume(w, r); err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+"/")
}

// resume gives the browser back the session that was put aside, if that still stands.
func (l *Login) resume(w http.ResponseWriter, r *http.Request) error {
	own, life := read(r, ownCookie), time.Duration(-1)
	if own != "" {
		s, err := l.cfg.Sessions.Find(r.Context(), identity.TenantFrom(r.Context()).ID, own)
		switch {
		case err == nil && s.Remembered:
			life = s.Expires.Sub(l.cfg.DB.Now())
		case err == nil:
			life = 0
		case !errors.Is(err, identity.ErrUnauthenticated):
			return err
		}
	}
	if life < 0 {
		own = ""
	}
	write(w, r, sessionCookie, own, life)
	write(w, r, ownCookie, "", -1)
	return nil
}
