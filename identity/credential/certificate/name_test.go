package certificate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/event"
)

// A name is kept over the next use, also of a certificate that only a rule makes theirs.
func TestACertificateIsCalledWhatItsUserSays(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(a *certificate.Authority) { a.Rules = rules(t, "email=email added") })
	card := h.ca.Person(t, "card", certificatetest.Names(t, nil, []string{"ann@example.com"})).Leaf
	use := func(tx *fsm.Tx) error { return certificate.Accept(tx, ten, h.ann.ID, h.shown(t, card)) }
	h.update(t, use)
	one := func() (c certificate.Certificate) {
		t.Helper()
		err := h.view(t, func(tx *fsm.Tx) error {
			all, err := certificate.Of(tx, ten, h.ann.ID)
			if len(all) == 1 {
				c = all[0]
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	id := one().ID
	for _, c := range []struct {
		user, name string
		want       error
	}{{h.ann.ID, " \x00 ", identity.ErrInvalid}, {h.bob.ID, "Mine", fsm.ErrNotFound}, {h.ann.ID, " Badge " + strings.Repeat("x", 200), nil}} {
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return certificate.Rename(tx, ten, c.user, id, c.name) })
		if !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.name, err)
		}
	}
	h.update(t, use)
	got := one()
	if got.ID != id || !strings.HasPrefix(got.Name, "Badge x") || len(got.Name) > 100 {
		t.Errorf("%+v", got)
	}
	err := h.view(t, func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, ten, event.Query{Limit: 1})
		if len(page) != 1 || page[0].Type != event.CertificateRenamed || len(page[0].Changes) != 1 || page[0].Changes[0].After != got.Name {
			t.Errorf("latest event: %+v", page)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
