package pending_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

// sealed is a house with a ring at every node.
func sealed(t *testing.T, n int) (*house, []*seal.Ring) {
	t.Helper()
	h := newHouse(t, n)
	rings := sealtest.Rings(t, h.DB...)
	return h, rings
}

func secretAt(t *testing.T, ring *seal.Ring, i *pending.Invitation) string {
	t.Helper()
	secret, err := i.Secret(ring)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestMailedInvitation: whichever node mails it makes the same link, which the log does not
// have; following it proves the address.
func TestMailedInvitation(t *testing.T) {
	t.Parallel()
	h, rings := sealed(t, 2)
	var i *pending.Invitation
	h.do(func(tx *fsm.Tx) (err error) {
		i, err = pending.InviteByMail(tx, rings[0], ten, pending.Invitation{Email: "ann@example.com"}, time.Hour)
		return err
	})
	secret := secretAt(t, rings[0], i)
	if other := secretAt(t, rings[1], i); other != secret || secret == "" {
		t.Errorf("%q at one node, %q at the other", secret, other)
	}
	var events []event.Event
	h.do(func(tx *fsm.Tx) (err error) {
		events, _, err = event.List(tx, ten, event.Query{Type: string(event.InvitationCreated)})
		return err
	})
	if len(events) != 1 || events[0].Data["mail"] == "" || events[0].Target.Name != "ann@example.com" {
		t.Errorf("%+v", events)
	}
	var verified bool
	h.do(func(tx *fsm.Tx) error {
		u, err := pending.Accept(tx, ten, secret, pending.Acceptance{Name: "Ann"})
		if err == nil {
			verified = u.EmailVerified && u.Name == "Ann" && u.Username == "ann@example.com"
		}
		return err
	})
	if !verified {
		t.Error("the address is not proved")
	}
}

// TestResend: the new link works for as long as the first one did, the former one is dead.
func TestResend(t *testing.T) {
	t.Parallel()
	h, rings := sealed(t, 1)
	shown := h.invite(pending.Invitation{Email: "bob@example.com"})
	var i *pending.Invitation
	h.do(func(tx *fsm.Tx) (err error) {
		i, err = pending.InviteByMail(tx, rings[0], ten, pending.Invitation{Email: "ann@example.com"}, time.Hour)
		return err
	})
	first := secretAt(t, rings[0], i)
	h.Advance(50 * time.Minute)
	h.do(func(tx *fsm.Tx) error { // time goes on with an entry
		return event.Append(tx, event.Event{Type: event.KeyRetired})
	})
	h.do(func(tx *fsm.Tx) (err error) {
		i, err = pending.Resend(tx, rings[0], ten, i.ID)
		return err
	})
	if left := i.Expires.Sub(i.Sent); left != time.Hour {
		t.Errorf("good for %v", left)
	}
	if err := h.try(accept(first, pending.Acceptance{})); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("the former link: %v", err)
	}
	if err := h.try(accept(secretAt(t, rings[0], i), pending.Acceptance{})); err != nil {
		t.Errorf("the new link: %v", err)
	}
	err := h.try(func(tx *fsm.Tx) error { _, err := pending.Resend(tx, rings[0], ten, i.ID); return err })
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("one that was accepted: %v", err)
	}
	// One whose link was shown is mailed from then on.
	h.do(func(tx *fsm.Tx) error {
		rows, _, err := pending.ListInvitations(tx, ten, "", 9)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v %v", rows, err)
		}
		if _, err := rows[0].Secret(rings[0]); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("the link of one that is not mailed: %v", err)
		}
		i, err = pending.Resend(tx, rings[0], ten, rows[0].ID)
		return err
	})
	if err := h.try(accept(shown, pending.Acceptance{})); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("the link that was shown: %v", err)
	}
	if !i.Mailed {
		t.Error("not mailed")
	}
}
