package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/pending"
)

const (
	secret  = portaltest.Password
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// house is a running front door with these pages and those of sign-in behind it.
type house struct {
	*portaltest.House
	offers *impersonation.Offers
}

// newHouse is one with ada and grace, and an ada in tenant acme.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{House: portaltest.New(t, slices.Concat(impersonation.Tables, pending.Tables, federation.Tables)...)}
	h.offers = impersonation.New(h.DB, h.Ring, h.Sessions)
	var acme *directory.Tenant
	h.Update(func(tx *fsm.Tx) (err error) {
		acme, err = directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		return err
	})
	h.PersonOf(acme.ID, directory.User{Username: "ada"}, true)
	for _, name := range []string{"ada", "grace"} {
		h.Person(directory.User{Username: name, Name: name, Email: name + "@example.com"}, true)
	}
	h.open()
	return h
}

func (h *house) open() {
	h.T.Helper()
	h.Open(h.Login(login.Config{Offers: h.offers}), h.Portal())
}

func (h *house) view(fn func(tx *fsm.Tx) error) {
	h.T.Helper()
	if err := h.DB.View(h.T.Context(), fn); err != nil {
		h.T.Fatal(err)
	}
}

// count is how many sessions a user has.
func (h *house) count(name string) (n int) {
	h.T.Helper()
	h.view(func(tx *fsm.Tx) error {
		all, err := h.Sessions.ListOf(tx, identity.DefaultTenant, h.Users[name])
		n = len(all)
		return err
	})
	return n
}

// someone has a browser, without JavaScript.
type someone struct {
	*house
	*pagetest.Browser
}

func (h *house) someone() *someone {
	s := &someone{h, pagetest.NewBrowser(h.T, h.URL)}
	s.Agent = firefox
	return s
}

// enter signs a browser in as a user of the default tenant.
func (h *house) enter(name string) *someone {
	h.T.Helper()
	s := h.someone()
	s.SignIn(s.Get("/account"), "", name, secret)
	return s
}

// done posts a form that is taken, and returns the page that it leads to.
func (s *someone) done(path string, form url.Values) pagetest.Answer {
	s.Browser.T.Helper()
	return s.Get(s.Post(path, form).Want(s.Browser.T, http.StatusSeeOther).Header.Get("Location"))
}
