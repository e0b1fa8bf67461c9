package join

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/settings"
)

const fine = "a compiler of many words"

// proves returns the form that makes an account of an address, which b proves.
func (h *house) proves(b *pagetest.Browser, email string) url.Values {
	h.t.Helper()
	_, form := ask(h.t, b, "/register", email)
	form.Set("code", codeOf(h.t, h.letter()))
	a := b.Post("/register/code", form).Want(h.t, 200)
	return url.Values{"flow": a.Hidden("flow"), "proved": a.Hidden("proved"), "password": {fine}}
}

// TestWhatMakesNoAccountCostsNoHash: neither a proof whose account is made, nor an invitation with a
// name that somebody has, however often they are posted.
func TestWhatMakesNoAccountCostsNoHash(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.decide(func(*settings.Authentication) {})
	form := h.proves(h.someone(0), "grace@example.com")
	isIn(t, h.someone(0).Post("/register/account", form))
	before := h.hashes()
	for node := range 2 {
		h.someone(node).Post("/register/account", form).Want(t, 422, "There is an account with this address already")
	}
	path := h.invite(pending.Invitation{Email: "eve@example.com"})
	b := h.someone(1)
	for range login.PerAddress.Burst + 5 { // whoever picks a name does not use up what the network has
		b.Post(path, url.Values{"username": {"ada"}, "password": {fine}}).Want(t, 422, "Somebody else has this already")
	}
	if n := h.hashes() - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
	isIn(t, b.Post(path, url.Values{"username": {"eve"}, "password": {fine}}))
	h.someone(0).Post(path, url.Values{"username": {"eva"}, "password": {fine}}).Want(t, http.StatusGone)
	if n := h.hashes() - before; n != 1 {
		t.Errorf("%d hashes for one account", n)
	}
}

// TestInvitedFromOneNetwork: what became an account is no attack.
func TestInvitedFromOneNetwork(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for i := range login.PerAddress.Burst + 5 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		isIn(t, h.someone(0).Post(h.invite(pending.Invitation{Email: name + "@example.com"}), url.Values{"password": {fine}}))
	}
}

// TestNewcomersTakeTheRoomOfStrangers: what they have hashed keeps out strangers, not who works here.
func TestNewcomersTakeTheRoomOfStrangers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(*settings.Authentication) {})
	form := h.proves(h.someone(0), "grace@example.com")
	path := h.invite(pending.Invitation{Email: "eve@example.com"})
	var leave []func()
	for range strangers {
		leave = append(leave, h.hashing())
	}
	before := h.hashes()
	h.someone(0).Post("/register/account", form).Want(t, http.StatusTooManyRequests)
	if a := h.someone(0).Post(path, url.Values{"password": {fine}}).Want(t, http.StatusTooManyRequests); a.Header.Get("Retry-After") == "" {
		t.Error("it does not say until when")
	}
	if n := h.hashes() - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
	for _, leave := range leave {
		leave()
	}
	isIn(t, h.someone(0).Post("/register/account", form))
	isIn(t, h.someone(0).Post(path, url.Values{"password": {fine}}))
}

// hashing is a newcomer whose password is being hashed until the end is called.
func (h *house) hashing() (end func()) {
	h.t.Helper()
	ctx := identity.WithTenant(h.t.Context(), identity.Tenant{ID: ten})
	sealed, err := h.flows[0].Begin(ctx, authn.Need{ReturnTo: "/"})
	if err != nil {
		h.t.Fatal(err)
	}
	f, err := h.flows[0].Load(ctx, sealed, "")
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err = h.flows[0].Bind(f, ""); err != nil {
		h.t.Fatal(err)
	}
	begun, ended := make(chan error), make(chan error)
	ctx, stop := context.WithCancel(ctx)
	go func() {
		err := h.flows[0].Hash(ctx, f, func(*fsm.Tx) error { return nil }, func() error { begun <- nil; <-ctx.Done(); return nil })
		if err != nil {
			begun <- err
		}
		ended <- err
	}()
	if err := <-begun; err != nil {
		h.t.Fatal(err)
	}
	return func() { stop(); <-ended }
}
