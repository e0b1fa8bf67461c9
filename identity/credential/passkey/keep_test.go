package passkey_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

func TestRegisterOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := phone()
	session, response := h.begun(home, alice, a)
	_, err := h.finishRegistration(home, bob.ID, session, response, "")
	expect(t, "for another user", err, identity.ErrInvalid)
	_, err = h.finishRegistration(other, alice.ID, session, response, "")
	expect(t, "in another tenant", err, identity.ErrInvalid)
	k, err := h.finishRegistration(home, alice.ID, session, response, "  My\u202e key ")
	if err != nil || k.Name != "My  key" {
		t.Fatalf("%+v, %v", k, err)
	}
	_, err = h.finishRegistration(home, alice.ID, session, response, "")
	expect(t, "again", err, fsm.ErrExists)
	if _, err := a.Create(h.creation(alice.ID)); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("the authenticator would take a second: %v", err)
	}
	// The first two passkeys of a user, begun at once, would have two user handles.
	s1, r1 := h.begun(home, bob, phone())
	s2, r2 := h.begun(home, bob, phone())
	if _, err := h.finishRegistration(home, bob.ID, s1, r1, ""); err != nil {
		t.Fatal(err)
	}
	_, err = h.finishRegistration(home, bob.ID, s2, r2, "")
	expect(t, "two handles", err, identity.ErrInvalid)
}

func (h *house) creation(user string) (options []byte) {
	u := *alice
	u.ID = user
	h.view(func(tx *fsm.Tx) (err error) {
		options, _, err = passkey.BeginRegistration(tx, home, "A house", h.policy, &u, true)
		return err
	})
	return options
}

func TestRenameDeleteSignals(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a, b := phone(), phone()
	k1, k2 := h.register(home, alice, a), h.register(home, alice, b)
	h.register(home, bob, phone())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(h.update(func(tx *fsm.Tx) error { return passkey.Rename(tx, home.ID, alice.ID, k1.ID, "Blue key") }))
	must(h.update(func(tx *fsm.Tx) error { return passkey.Rename(tx, home.ID, alice.ID, k1.ID, "Blue key") }))
	expect(t, "no name", h.update(func(tx *fsm.Tx) error { return passkey.Rename(tx, home.ID, alice.ID, k1.ID, " ") }), identity.ErrInvalid)
	must(h.update(func(tx *fsm.Tx) error { return passkey.Delete(tx, home.ID, alice.ID, k2.ID) }))
	var accepted, details []byte
	h.view(func(tx *fsm.Tx) (err error) {
		accepted, details, err = passkey.Signals(tx, home, alice)
		return err
	})
	var said struct {
		AllAcceptedCredentialIDs        []string
		RPID, UserID, Name, DisplayName string
	}
	must(json.Unmarshal(accepted, &said))
	must(json.Unmarshal(details, &said))
	if len(said.AllAcceptedCredentialIDs) != 1 || said.RPID != "id.example.com" || len(said.UserID) != 43 || said.Name != "alice" || said.DisplayName != "Alice Adams" {
		t.Errorf("signals %s %s", accepted, details)
	}
	if diff := cmp.Diff([]string{"passkey.created", "passkey.created", "passkey.created", "passkey.renamed", "passkey.deleted"}, h.news(home.ID)); diff != "" {
		t.Error(diff)
	}
	must(h.update(func(tx *fsm.Tx) error { return passkey.DeleteAllOf(tx, home.ID, alice.ID) }))
	h.view(func(tx *fsm.Tx) error {
		if accepted, _, err := passkey.Signals(tx, home, alice); err != nil || accepted != nil {
			t.Errorf("signals outlive the user: %s, %v", accepted, err)
		}
		return nil
	})
	if h.firstOf(bob.ID) == "" {
		t.Error("another's passkey is gone, too")
	}
	must(h.update(func(tx *fsm.Tx) error { return passkey.DeleteTenant(tx, home.ID) }))
	if h.firstOf(bob.ID) != "" {
		t.Error("a passkey outlives its tenant")
	}
}

func TestAtMostFifty(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for range 50 {
		h.register(home, alice, phone())
	}
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := passkey.BeginRegistration(tx, home, "A house", h.policy, alice, true)
		return err
	})
	expect(t, "the 51st", err, identity.ErrInvalid)
}
