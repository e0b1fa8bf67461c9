package factor

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

const ten = identity.DefaultTenant

// house is a house with these sections; everybody in it has a password.
type house struct {
	*portaltest.House
	older bool // a member is of an older release

	meanwhile func() // what happens once elsewhere, after the session was looked at
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{House: portaltest.New(t)}
	for _, name := range []string{"ada", "grace"} {
		h.Person(directory.User{Username: name, Email: name + "@example.com"}, true)
	}
	h.Open(h.Portal(Sections(Config{
		DB: h.DB, Ring: h.Ring, Use: func(context.Context) error {
			if h.older {
				return fsm.ErrUnavailable
			}
			if then := h.meanwhile; then != nil {
				h.meanwhile = nil
				then()
			}
			return nil
		},
	})...))
	return h
}

// someone is signed in with a password, in a browser without JavaScript.
type someone struct {
	*house
	id, session string
	*pagetest.Browser
}

func (h *house) enter(name string) *someone {
	h.T.Helper()
	var started *session.Started
	h.Update(func(tx *fsm.Tx) (err error) {
		started, err = h.Sessions.Start(tx, session.Session{
			Tenant: ten, UserID: h.Users[name], Factors: []assurance.Factor{{Method: assurance.Password, At: tx.Now()}},
		})
		return err
	})
	cookie, err := h.Sessions.Cookie(started)
	if err != nil {
		h.T.Fatal(err)
	}
	b := pagetest.NewBrowser(h.T, h.URL)
	at, err := url.Parse(h.URL)
	if err != nil {
		h.T.Fatal(err)
	}
	b.Cookie.SetCookies(at, []*http.Cookie{{Name: login.SessionCookie(identity.Tenant{ID: ten, Issuer: portaltest.PublicURL}), Value: cookie}})
	return &someone{h, h.Users[name], started.Session.ID, b}
}
