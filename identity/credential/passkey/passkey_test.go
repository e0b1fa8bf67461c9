package passkey_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/event"
)

func TestRegisterAndSignIn(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*passkeytest.Authenticator{
		"ES256":       {UV: true, Counts: true},
		"EdDSA":       {UV: true, Alg: passkeytest.EdDSA, Format: passkeytest.Self},
		"RS256":       {UV: true, Alg: passkeytest.RS256},
		"synced":      {UV: true, Synced: true, BackedUp: true},
		"without UV":  {Counts: true},
		"counts late": {UV: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 2)
			a.Origin = origin
			k := h.register(home, alice, a)
			if !identity.ValidID("pky", k.ID) || k.Name != "Passkey" || k.Attested || k.Synced != a.Synced || k.UVInitialized != a.UV {
				t.Errorf("registered %+v", k)
			}
			if diff := cmp.Diff([]string{"usb", "internal"}, k.Transports); diff != "" {
				t.Error(diff)
			}
			a.Counts = a.Counts || name == "counts late"
			for _, user := range []string{"", alice.ID} {
				before := h.Entries()
				got, err := h.assert(1, home, user, a)
				if err != nil {
					t.Fatalf("%q: %v", user, err)
				}
				if h.Entries() != before {
					t.Error("beginning and finishing wrote to the log")
				}
				if got.UserID != alice.ID || got.ID != k.ID || got.UV != a.UV || got.Synced != a.Synced || got.BackedUp != a.BackedUp || got.SignCount != a.Count {
					t.Errorf("%q: %+v", user, got)
				}
				if err := h.accept(1, got); err != nil {
					t.Fatal(err)
				}
			}
			if s := h.stored(k); s.LastUsed.IsZero() || s.SignCount != a.Count {
				t.Errorf("stored %+v", s)
			}
		})
	}
}

// UV is of this ceremony: a passkey that once verified its user and does not now proves one
// factor, and one that never did is believed only after another factor has vouched for it.
func TestUserVerificationIsOfThisCeremony(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := phone()
	h.register(home, alice, a)
	a.UV = false
	if got, err := h.signIn(home, "", a); err != nil || got.UV || got.VerifiedNow {
		t.Errorf("without verification: %+v, %v", got, err)
	}
	h.policy.UserVerification = "required"
	_, err := h.signIn(home, "", a)
	expect(t, "required", err, identity.ErrUnauthenticated)

	h.policy.UserVerification = ""
	b := &passkeytest.Authenticator{Origin: origin}
	h.register(home, bob, b)
	b.UV = true
	got, err := h.signIn(home, bob.ID, b)
	if err != nil || got.UV || !got.VerifiedNow {
		t.Errorf("new verification: %+v, %v", got, err)
	}
	if got, err = h.assert(0, home, bob.ID, b); err != nil || got.UV {
		t.Errorf("it was believed by itself: %+v, %v", got, err)
	}
	got.Initialize = true
	if err := h.accept(0, got); err != nil {
		t.Fatal(err)
	}
	if got, err = h.signIn(home, bob.ID, b); err != nil || !got.UV {
		t.Errorf("after another factor: %+v, %v", got, err)
	}
	h.policy.UserVerification = "required"
	b.UV = false
	_, err = h.tryRegister(home, bob, &passkeytest.Authenticator{Origin: origin})
	expect(t, "registered without verification", err, identity.ErrInvalid)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := phone()
	h.register(home, alice, a)
	fresh := func(change func(*passkeytest.Authenticator)) *passkeytest.Authenticator {
		b := *a
		b.Counts, b.Count = false, 1000
		change(&b)
		return &b
	}
	for what, b := range map[string]*passkeytest.Authenticator{
		"another origin":     fresh(func(b *passkeytest.Authenticator) { b.Origin = "https://id.example.com.evil.test" }),
		"another scheme":     fresh(func(b *passkeytest.Authenticator) { b.Origin = "http://id.example.com" }),
		"another RP ID":      fresh(func(b *passkeytest.Authenticator) { b.RPID = "example.com" }),
		"nobody there":       fresh(func(b *passkeytest.Authenticator) { b.Absent = true }),
		"became synced":      fresh(func(b *passkeytest.Authenticator) { b.Synced = true }),
		"backed up, not BE":  fresh(func(b *passkeytest.Authenticator) { b.BackedUp = true }),
		"without the handle": fresh(func(b *passkeytest.Authenticator) { b.NoHandle = true }),
	} {
		_, err := h.signIn(home, "", b)
		expect(t, what, err, identity.ErrUnauthenticated)
	}
	if _, err := h.signIn(home, "", a); err != nil {
		t.Errorf("the real one afterwards: %v", err)
	}
	options, session := h.options(home, "")
	response, err := a.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger := h.options(home, "")
	_, elsewhere := h.options(other, "")
	_, known := h.options(home, alice.ID)
	finish := func(session, response []byte, user string) error {
		_, err := passkey.Finish(t.Context(), h.DB[0], home.ID, session, response, user)
		return err
	}
	expect(t, "another challenge", finish(stranger, response, ""), identity.ErrUnauthenticated)
	expect(t, "another tenant's session", finish(elsewhere, response, ""), identity.ErrUnauthenticated)
	expect(t, "a known user's session", finish(known, response, ""), identity.ErrUnauthenticated)
	expect(t, "no session", finish(nil, response, ""), identity.ErrUnauthenticated)
	expect(t, "a large session", finish(make([]byte, passkey.MaxSession+1), response, ""), identity.ErrUnauthenticated)
	expect(t, "a large response", finish(session, []byte(string(response)+strings.Repeat(" ", passkey.MaxResponse)), ""), identity.ErrUnauthenticated)
	expect(t, "another's ceremony", finish(known, response, bob.ID), identity.ErrUnauthenticated)
	for i, c := range response { // every single byte counts, or does not change the meaning
		if c == '"' || i%7 != 0 {
			continue
		}
		bad := append([]byte{}, response...)
		bad[i] ^= 1
		if err := finish(session, bad, ""); err != nil && !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	h.Advance(passkey.Lifetime + time.Second)
	if err := h.update(func(tx *fsm.Tx) error { return passkey.Rename(tx, home.ID, alice.ID, h.firstOf(alice.ID), "x") }); err != nil {
		t.Fatal(err)
	}
	expect(t, "too late", finish(session, response, ""), identity.ErrUnauthenticated)
}

func (h *house) firstOf(user string) (id string) {
	h.view(func(tx *fsm.Tx) error {
		for k, err := range passkey.List(tx, home.ID, user) {
			if err != nil {
				return err
			}
			id = k.ID
			break
		}
		return nil
	})
	return id
}

// Tenants share the RP ID: a passkey of one, offered in the other, is refused without the
// browser being told to forget it.
func TestTenantsShareTheHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := phone()
	h.register(home, alice, a)
	_, err := h.signIn(other, "", a)
	expect(t, "in another tenant", err, identity.ErrUnauthenticated)
	if _, ok := passkey.Unknown(err); ok {
		t.Error("another tenant's passkey was called unknown")
	}
	_, err = h.signIn(home, "", a)
	if err != nil {
		t.Error(err)
	}
	if err := h.update(func(tx *fsm.Tx) error { return passkey.Delete(tx, home.ID, alice.ID, h.firstOf(alice.ID)) }); err != nil {
		t.Fatal(err)
	}
	_, err = h.signIn(home, "", a)
	expect(t, "removed", err, identity.ErrUnauthenticated)
	signal, ok := passkey.Unknown(err)
	var got struct{ CredentialID, RPID string }
	if !ok || json.Unmarshal(signal, &got) != nil || got.RPID != "id.example.com" || got.CredentialID == "" {
		t.Errorf("signal %s", signal)
	}
	for owner, user := range map[string]string{other.ID: alice.ID, home.ID: bob.ID} {
		if err := h.update(func(tx *fsm.Tx) error { return passkey.Delete(tx, owner, user, "pky_x") }); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("deleted %s %s: %v", owner, user, err)
		}
	}
}

// Where only passkeys do that never leave their device, no other is asked for.
func TestOnlyThoseThatStayAreAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a, b := &passkeytest.Authenticator{Origin: origin, UV: true, Synced: true}, &passkeytest.Authenticator{Origin: origin, UV: true}
	h.register(home, alice, a)
	h.bound = true
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := passkey.Begin(tx, home, h.policy, alice.ID, passkey.Wanted{Bound: true})
		return err
	})
	expect(t, "somebody who has but others", err, fsm.ErrNotFound)
	h.register(home, alice, b)
	options, _ := h.options(home, alice.ID)
	if _, err := a.Get(options); err == nil {
		t.Error("one that may leave its device is asked for")
	}
	if got, err := h.signIn(home, alice.ID, b); err != nil || got.Synced {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestKnownUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a, b := phone(), &passkeytest.Authenticator{Origin: origin, NoHandle: true}
	h.register(home, alice, a)
	h.register(home, bob, b)
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := passkey.Begin(tx, home, h.policy, "usr_carol", passkey.Wanted{})
		return err
	})
	expect(t, "somebody without passkeys", err, fsm.ErrNotFound)
	if _, err := h.signIn(home, bob.ID, b); err != nil {
		t.Errorf("a key without storage as second factor: %v", err)
	}
	options, session := h.options(home, alice.ID)
	var challenge struct{ Challenge string }
	if err := json.Unmarshal(options, &challenge); err != nil {
		t.Fatal(err)
	}
	response, err := b.Answer(b.Keys[0], challenge.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	_, err = passkey.Finish(t.Context(), h.DB[0], home.ID, session, response, alice.ID)
	expect(t, "another user's key", err, identity.ErrUnauthenticated)
}

// A security key is taken where passkeys have to verify their user, and answers for a user who
// has proven another factor, though it never does. A passkey beside it still has to.
func TestASecurityKeyComesSecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy.UserVerification = "required"
	key := &passkeytest.Authenticator{Origin: origin, NoHandle: true, Counts: true}
	var options, session []byte
	h.view(func(tx *fsm.Tx) (err error) {
		options, session, err = passkey.BeginKey(tx, home, "A house", h.policy, alice)
		return err
	})
	for _, want := range []string{`"residentKey":"discouraged"`, `"userVerification":"discouraged"`} {
		if !strings.Contains(string(options), want) {
			t.Errorf("no %s in %s", want, options)
		}
	}
	response, err := key.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	made, err := h.finishRegistration(home, alice.ID, session, response, "Blue key")
	if err != nil {
		t.Fatal(err)
	}
	a := phone()
	h.register(home, alice, a)
	if !made.Second {
		t.Error("a security key is not marked")
	}
	h.view(func(tx *fsm.Tx) error {
		all, _, err := event.List(tx, home.ID, event.Query{Oldest: true})
		for _, e := range all {
			if got := e.Data[event.SecondKey] != ""; got != (e.Target.ID == made.ID) {
				t.Errorf("%s of %s is told as of a security key: %v", e.Type, e.Target.Name, got)
			}
		}
		return err
	})
	_, err = h.signIn(home, alice.ID, key)
	expect(t, "the key beside something that is no password", err, identity.ErrUnauthenticated)
	h.known = true
	for _, key.UV = range []bool{false, true, false} { // with a PIN that somebody has given it since
		got, err := h.assert(0, home, alice.ID, key)
		got.Initialize = true
		if err = errors.Join(err, h.accept(0, got)); err != nil || got.UV || got.VerifiedNow || h.stored(made).UVInitialized {
			t.Errorf("the key, second: %+v, %v", got, err)
		}
	}
	key.UV, key.NoHandle = true, false
	_, err = h.signIn(home, "", key)
	expect(t, "the key, first", err, identity.ErrUnauthenticated)
	a.UV = false
	_, err = h.signIn(home, alice.ID, a)
	expect(t, "a passkey beside it that does not verify", err, identity.ErrUnauthenticated)
	a.UV = true
	if got, err := h.signIn(home, alice.ID, a); err != nil || !got.UV {
		t.Errorf("a passkey beside it: %+v, %v", got, err)
	}
}
