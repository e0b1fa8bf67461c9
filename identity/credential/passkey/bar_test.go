package passkey_test

import (
	"slices"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/settings"
)

const anotherModel = "00112233-4455-6677-8899-aabbccddee00"

// keyOf is an authenticator of a maker that tells its model.
func keyOf(m *passkeytest.Maker) *passkeytest.Authenticator {
	a := phone()
	a.Format, a.Maker, a.AAGUID = passkeytest.Packed, m, model
	return a
}

// barred has what signs in refused for its model, and listed as such.
func (h *house) barred(what string, err error, k *passkey.Passkey, p settings.Passkey, want passkey.Bar) {
	h.t.Helper()
	expect(h.t, what, err, identity.ErrUnauthenticated)
	if told := identity.Errors(err); len(told) != 1 || told[0].Field != passkey.BarredField {
		h.t.Errorf("%s: %v", what, err)
	}
	h.view(func(tx *fsm.Tx) error {
		if got, err := passkey.Barred(tx, p, k); got != want || err != nil {
			h.t.Errorf("%s: barred as %q, %v; want %q", what, got, err, want)
		}
		return nil
	})
}

// What a tenant decides later holds for passkeys that it has already, and only there; taken
// back, they sign in again.
func TestAModelIsDeniedLater(t *testing.T) {
	t.Parallel()
	h, maker := newHouse(t, 1), newMaker(t)
	a, silent, elsewhere := keyOf(maker), phone(), keyOf(maker)
	k, quiet := h.register(home, alice, a), h.register(home, bob, silent)
	h.register(other, bob, elsewhere)
	for what, p := range map[string]settings.Passkey{
		"denied":      {UserVerification: "required", Attestation: "none", Deny: []string{aaguid}},
		"not allowed": {UserVerification: "required", Attestation: "direct", Allow: []string{anotherModel}},
	} {
		h.decide(home, p)
		_, err := h.signIn(home, "", a)
		h.barred(what, err, k, p, passkey.Denied)
		_, err = h.signIn(home, alice.ID, a)
		h.barred(what+", as the second step", err, k, p, passkey.Denied)
		if _, err := h.signIn(other, "", elsewhere); err != nil {
			t.Errorf("%s: in another tenant: %v", what, err)
		}
	}
	only := settings.Passkey{UserVerification: "required", Attestation: "direct", Allow: []string{aaguid}}
	h.decide(home, only)
	if _, err := h.signIn(home, "", a); err != nil {
		t.Errorf("allowed again: %v", err)
	}
	_, err := h.signIn(home, "", silent)
	h.barred("does not tell its model", err, quiet, only, passkey.Denied)
}

// A model that metadata report later is refused, whether it was attested or only says so.
func TestAModelIsRevokedLater(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 1), newFIDO(t), newMaker(t)
	one := passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}
	if err := h.imports(fido, 1, one); err != nil {
		t.Fatal(err)
	}
	a, said, another := keyOf(maker), phone(), phone()
	said.AAGUID = model
	k, unproved := h.register(home, alice, a), h.register(home, bob, said)
	h.register(home, bob, another)
	for _, status := range []string{"REVOKED", "USER_KEY_PHYSICAL_COMPROMISE", "ATTESTATION_KEY_COMPROMISE"} {
		one.Status = status
		if err := h.imports(fido, 2, one); err != nil {
			t.Fatal(err)
		}
		_, err := h.signIn(home, "", a)
		h.barred(status, err, k, h.policy, passkey.Unsafe)
		_, err = h.signIn(home, "", said)
		h.barred(status+", not attested", err, unproved, h.policy, passkey.Unsafe)
		if _, err := h.signIn(home, "", another); err != nil {
			t.Errorf("%s: another model: %v", status, err)
		}
		_, err = h.tryRegister(home, alice, keyOf(maker))
		expect(t, status+", a new one", err, identity.ErrInvalid)
	}
	one.Status = "FIDO_CERTIFIED"
	if err := h.imports(fido, 3, one); err != nil {
		t.Fatal(err)
	}
	if got, err := h.signIn(home, "", a); err != nil || !got.Attested {
		t.Errorf("certified again: %+v, %v", got, err)
	}
}

// A sign-in that is under way when its model is denied, or reported, does not end well on any node.
func TestAModelIsBarredMeanwhile(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 2), newFIDO(t), newMaker(t)
	one := passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}
	if err := h.imports(fido, 1, one); err != nil {
		t.Fatal(err)
	}
	a := keyOf(maker)
	k := h.register(home, alice, a)
	waits := func() passkey.Assertion {
		t.Helper()
		got, err := h.assert(0, home, "", a)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	deny := settings.Passkey{UserVerification: "required", Attestation: "none", Deny: []string{aaguid}}
	got := waits()
	h.decide(home, deny)
	h.barred("denied", h.accept(1, got), k, deny, passkey.Denied)
	h.decide(home, settings.Default(home.ID).Passkey)
	if err := h.accept(1, got); err != nil {
		t.Errorf("taken back: %v", err)
	}
	got = waits()
	one.Status = "REVOKED"
	if err := h.imports(fido, 2, one); err != nil {
		t.Fatal(err)
	}
	h.barred("revoked", h.accept(1, got), k, h.policy, passkey.Unsafe)
	if stored := h.stored(k); !stored.Suspect.IsZero() || stored.SignCount == got.SignCount {
		t.Errorf("a refusal has changed the passkey: %+v", stored)
	}
}

// A passkey that only claims a model signs nobody in where but that is allowed and can be proved; one that
// was attested, or is once the metadata come, does.
func TestAnAllowedModelHasToBeProvedWhereItCanBe(t *testing.T) {
	t.Parallel()
	h, fido, maker := newHouse(t, 2), newFIDO(t), newMaker(t)
	sound, liar := keyOf(maker), phone()
	liar.AAGUID = model
	proved, claimed := h.register(home, alice, sound), h.register(home, bob, liar)
	only := settings.Passkey{UserVerification: "required", Attestation: "direct", Allow: []string{aaguid}}
	h.decide(home, only)
	for who, a := range map[string]*passkeytest.Authenticator{"attested": sound, "claimed": liar} {
		if _, err := h.signIn(home, "", a); err != nil {
			t.Errorf("%s, while nobody can judge it: %v", who, err)
		}
	}
	waits, err := h.assert(0, home, "", liar)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.imports(fido, 1, passkeytest.Model{AAGUID: aaguid, Description: "Key One", Roots: maker.Roots()}); err != nil {
		t.Fatal(err)
	}
	h.barred("a sign-in under way", h.accept(1, waits), claimed, only, passkey.Unproved)
	_, err = h.signIn(home, "", liar)
	h.barred("claimed", err, claimed, only, passkey.Unproved)
	h.view(func(tx *fsm.Tx) error {
		if bar, err := passkey.Barred(tx, only, proved); bar != "" || err != nil {
			t.Errorf("attested, and not judged yet: %q, %v", bar, err)
		}
		return nil
	})
	if got, err := h.signIn(home, "", sound); err != nil || !got.Attested {
		t.Errorf("attested: %+v, %v", got, err)
	}
	h.policy = only
	another := phone()
	another.AAGUID = model
	_, err = h.tryRegister(home, bob, another)
	expect(t, "a new one that claims it", err, identity.ErrInvalid)
	h.register(home, bob, keyOf(maker))
	h.decide(home, settings.Passkey{UserVerification: "required", Attestation: "direct"})
	if waits, err = h.assert(0, home, "", liar); err != nil {
		t.Fatalf("where all are allowed: %v", err)
	}
	h.decide(home, only)
	h.barred("a rule that came meanwhile", h.accept(1, waits), claimed, only, passkey.Unproved)
}

// Whoever does not hold a passkey learns nothing of what is held against it.
func TestStrangersLearnNothingOfABar(t *testing.T) {
	t.Parallel()
	h, maker := newHouse(t, 1), newMaker(t)
	a := keyOf(maker)
	h.register(home, alice, a)
	stranger := phone()
	h.register(home, bob, stranger)
	stranger.Keys[0].ID, stranger.Keys[0].Handle = slices.Clone(a.Keys[0].ID), slices.Clone(a.Keys[0].Handle)
	_, before := h.signIn(home, "", stranger)
	h.decide(home, settings.Passkey{UserVerification: "required", Attestation: "none", Deny: []string{aaguid}})
	_, after := h.signIn(home, "", stranger)
	expect(t, "a stranger", after, identity.ErrUnauthenticated)
	if before == nil || before.Error() != after.Error() {
		t.Errorf("a stranger was told %v before, %v after", before, after)
	}
}
