package login

import (
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

// The cookies of a browser, before page.CookieName makes them the tenant's.
const (
	sessionCookie = "quis_session"
	flowCookie    = "quis_flow"   // binds flows to this browser
	deviceCookie  = "quis_device" // a user has signed in here before

	trustCookie = "quis_trust" // a trusted device
	makesCookie = "quis_makes" // it makes passkeys

	// ApproverCookie is of a browser in which sign-ins are approved.
	ApproverCookie = "quis_approver"

	deviceLifetime = 180 * 24 * time.Hour
)

// SessionCookie names the cookie that carries a session of t.
func SessionCookie(t identity.Tenant) string { return page.CookieName(t, sessionCookie) }

// What a page reads and writes of them.
var read, write = page.Cookie, page.SetCookie

// signedIn returns the session of the browser and its user; nil if nobody is signed in.
func (l *Login) signedIn(r *http.Request) (*session.Session, *directory.User, error) {
	value := read(r, sessionCookie)
	if value == "" {
		return nil, nil, nil
	}
	tenant := identity.TenantFrom(r.Context()).ID
	s, err := l.cfg.Sessions.Find(r.Context(), tenant, value)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var u *directory.User
	err = l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		u, _, err = directory.GetUser(tx, tenant, s.UserID)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // deleted this very moment
		return nil, nil, nil
	}
	return s, u, err
}

// shown is how a page names u.
func shown(u *directory.User) person {
	p := person{Name: u.Name, Login: u.Username}
	if p.Name == "" {
		p.Name = u.Username
	}
	if u.Email != "" {
		p.Login = u.Email
	}
	return p
}
