package certificate_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/directory"
)

// TestGoodOf: a certificate counts as a way in only while nothing that the store knows keeps it out.
func TestGoodOf(t *testing.T) {
	t.Parallel()
	var lost, kept *x509.Certificate
	authority := func(h *house, tx *fsm.Tx, change func(a *certificate.Authority)) error {
		_, err := certificate.Update(tx, ten, h.trusted.ID, 0, func(a *certificate.Authority) error { change(a); return nil })
		return err
	}
	upload := func(h *house, tx *fsm.Tx, revoked ...*x509.Certificate) error {
		_, err := certificate.Upload(tx, ten, h.trusted.ID, h.ca.List(t, 1, revoked))
		return err
	}
	nowhere := func(a *certificate.Authority) { a.Revocation, a.Ask = certificate.RevocationRequired, false }
	for name, c := range map[string]struct {
		by     string
		names  func(n *certificate.Names)
		change func(h *house, tx *fsm.Tx) error
		later  time.Duration
		good   bool
	}{
		"added":                  {good: true},
		"another one is revoked": {change: func(h *house, tx *fsm.Tx) error { return upload(h, tx, lost) }, good: true},
		"it is revoked":          {change: func(h *house, tx *fsm.Tx) error { return upload(h, tx, kept) }},
		"an older list names it": {change: func(h *house, tx *fsm.Tx) error { return upload(h, tx, kept) }, later: 2 * time.Hour},
		"a like number, issued by an authority between": {
			names: func(n *certificate.Names) { n.Issued = false }, change: func(h *house, tx *fsm.Tx) error { return upload(h, tx, kept) }, good: true,
		},
		"an older release wrote it, and any is revoked": {
			names: func(n *certificate.Names) { n.Number = nil }, change: func(h *house, tx *fsm.Tx) error { return upload(h, tx, lost) },
		},
		"an older release wrote it, and none is revoked": {
			names: func(n *certificate.Names) { n.Number = nil }, change: func(h *house, tx *fsm.Tx) error { return upload(h, tx) }, good: true,
		},
		"it has run out":                      {later: 11 * 365 * 24 * time.Hour},
		"those that come after it are theirs": {by: certificate.BySubject, names: func(n *certificate.Names) { n.NotAfter = time.Now() }, later: time.Hour},
		"its authority has run out":           {names: func(n *certificate.Names) { n.NotAfter = time.Now().AddDate(20, 0, 0) }, later: 11 * 365 * 24 * time.Hour},
		"no rule for those that were added": {change: func(h *house, tx *fsm.Tx) error {
			return authority(h, tx, func(a *certificate.Authority) { a.Rules = rules(t, "email=email") })
		}},
		"its authority is trusted no more": {change: func(h *house, tx *fsm.Tx) error { return certificate.Remove(tx, ten, h.trusted.ID, 0) }},
		"nowhere to ask":                   {change: func(h *house, tx *fsm.Tx) error { return authority(h, tx, nowhere) }},
		"nowhere but a list": {change: func(h *house, tx *fsm.Tx) error {
			if err := upload(h, tx); err != nil {
				return err
			}
			return authority(h, tx, nowhere)
		}, good: true},
	} {
		h := newHouse(t, 1, func(a *certificate.Authority) { a.Ask = true })
		lost, kept = h.ca.Person(t, "lost").Leaf, h.ca.Person(t, "kept").Leaf
		n := namesOf(t, kept)
		if c.names != nil {
			c.names(n)
		}
		by := certificate.ByFingerprint
		if c.by != "" {
			by = c.by
		}
		h.update(t, func(tx *fsm.Tx) error {
			_, err := certificate.Bind(tx, h.trusted, n, h.ann.ID, by, "")
			return err
		})
		if c.change != nil {
			h.update(t, func(tx *fsm.Tx) error { return c.change(h, tx) })
		}
		h.Advance(c.later)
		h.update(t, func(tx *fsm.Tx) error { // the state's time is that of its last entry
			_, err := directory.CreateUser(tx, ten, directory.User{Username: "carl"})
			return err
		})
		h.update(t, func(tx *fsm.Tx) error {
			good, err := certificate.GoodOf(tx, ten, h.ann.ID)
			if (len(good) == 1) != c.good {
				t.Errorf("%s: %d are good", name, len(good))
			}
			return err
		})
	}
}

// One that a rule makes theirs counts as long as its authority has any such rule; and its number is
// known from when it was used.
func TestUsedCertificatesAreGood(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(a *certificate.Authority) { a.Rules, a.Ask = rules(t, "email=email added"), true })
	cert := h.ca.Person(t, "ann", certificatetest.Names(t, nil, []string{"ann@example.com"})).Leaf
	h.update(t, func(tx *fsm.Tx) error { return certificate.Accept(tx, ten, h.ann.ID, h.shown(t, cert)) })
	are := func(what string, want int) {
		t.Helper()
		h.update(t, func(tx *fsm.Tx) error {
			good, err := certificate.GoodOf(tx, ten, h.ann.ID)
			if len(good) != want {
				t.Errorf("%s: %d are good, want %d", what, len(good), want)
			}
			return err
		})
	}
	are("used", 1)
	h.update(t, func(tx *fsm.Tx) error {
		_, err := certificate.Upload(tx, ten, h.trusted.ID, h.ca.List(t, 1, []*x509.Certificate{h.ca.Person(t, "x").Leaf}))
		return err
	})
	are("another one is revoked", 1)
	h.update(t, func(tx *fsm.Tx) error {
		_, err := certificate.Upload(tx, ten, h.trusted.ID, h.ca.List(t, 2, []*x509.Certificate{cert}))
		return err
	})
	are("it is revoked", 0)
	h.update(t, func(tx *fsm.Tx) error {
		_, err := certificate.Update(tx, ten, h.trusted.ID, 0, func(a *certificate.Authority) error { a.Rules = rules(t, "added"); return nil })
		if err != nil {
			return err
		}
		return certificate.Withdraw(tx, ten, h.trusted.ID)
	})
	are("only those that were added count", 0)
}
