package authn_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

const origin = "https://id.example.com"

// at is the context of a request to the tenant's own address, which passkeys belong to.
func at(t testing.TB) context.Context {
	return identity.WithTenant(from(t, "192.0.2.1"), identity.Tenant{ID: ten, Issuer: origin})
}

// passkey gives ann one on an authenticator.
func (h *house) passkey(t testing.TB, a *passkeytest.Authenticator) {
	t.Helper()
	h.enrol(t, a, func(tx *fsm.Tx, tenant identity.Tenant, p settings.Passkey) (options, session []byte, err error) {
		return passkey.BeginRegistration(tx, tenant, "house", p, h.ann, true)
	})
}

// key gives ann a security key that asks for no PIN.
func (h *house) key(t testing.TB, a *passkeytest.Authenticator) {
	t.Helper()
	h.enrol(t, a, func(tx *fsm.Tx, tenant identity.Tenant, p settings.Passkey) (options, session []byte, err error) {
		return passkey.BeginKey(tx, tenant, "house", p, h.ann)
	})
}

// enrol gives ann what an authenticator makes when it is begun so.
func (h *house) enrol(t testing.TB, a *passkeytest.Authenticator, begin func(*fsm.Tx, identity.Tenant, settings.Passkey) (options, session []byte, err error)) {
	t.Helper()
	tenant := identity.TenantFrom(at(t))
	var session, response []byte
	h.update(t, 0, func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, ten)
		if err != nil {
			return err
		}
		var options []byte
		if options, session, err = begin(tx, tenant, s.Passkey); err != nil {
			return err
		}
		response, err = a.Create(options)
		return err
	})
	h.update(t, 0, func(tx *fsm.Tx) error {
		s, _, err := settings.Get(tx, ten)
		if err == nil {
			_, err = passkey.Register(tx, tenant, s.Passkey, h.ann.ID, session, response, "key")
		}
		return err
	})
}

// answer is what the authenticator says to the challenge of a flow.
func (n *node) answer(t testing.TB, ctx context.Context, f *authn.Flow, a *passkeytest.Authenticator) []byte {
	t.Helper()
	options, err := n.Challenge(ctx, f)
	if err != nil || options == nil {
		t.Fatalf("no challenge: %v", err)
	}
	response, err := a.Get(options)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestPasskeyAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a := &passkeytest.Authenticator{Origin: origin, UV: true, Synced: true}
	h.passkey(t, a)
	n, ctx := h.nodes[0], at(t)
	sealed, binding := n.begin(t, ctx)
	before := h.Entries()
	f := n.load(t, ctx, sealed, binding)
	response := n.answer(t, ctx, f, a)
	f = h.nodes[1].load(t, ctx, f.Sealed(), binding)
	r, err := h.nodes[1].Passkey(ctx, f, response)
	if err != nil || r.Step != authn.StepDone || r.Session.Level() != 2 || !slices.Equal(r.Session.AMR, []string{"mfa", "swk", "user"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
	if n.checks.Load()+h.nodes[1].checks.Load() != 0 {
		t.Error("a password was checked")
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.ann.ID, 0, func(u *directory.User) error { u.Disabled = true; return nil })
		return err
	})
	f = n.fresh(t, ctx)
	if _, err := n.Passkey(ctx, f, n.answer(t, ctx, f, a)); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a disabled user: %v", err)
	}
}

func TestPasskeyBesidePassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := &passkeytest.Authenticator{Origin: origin, UV: true, Counts: true}
	h.passkey(t, a)
	n, ctx := h.nodes[0], at(t)
	f := n.fresh(t, ctx)
	if r, err := n.Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", r, err)
	}
	r, err := n.Passkey(ctx, f, n.answer(t, ctx, f, a))
	if err != nil || r.Session.Level() != 2 || !assurance.Resistant(r.Session.Factors) {
		t.Fatalf("%+v, %v", r, err)
	}
	h.decide(t, func(s *settings.Authentication) { s.PasskeyLogin = false })
	if options, err := n.Challenge(ctx, n.fresh(t, ctx)); err != nil || options != nil {
		t.Errorf("offered as first factor where it is closed: %s, %v", options, err)
	}
}

// A security key that is older than the metadata is worth level 3 from the first sign-in after their import.
func TestMetadataRaiseTheLevelOfAKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	maker, err1 := passkeytest.NewMaker()
	fido, err2 := passkeytest.NewFIDO()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	h.decide(t, func(s *settings.Authentication) { s.Passkey.Attestation = "direct" })
	a := &passkeytest.Authenticator{Origin: origin, UV: true, AAGUID: [16]byte{1}, Format: passkeytest.Packed, Maker: maker}
	h.passkey(t, a)
	n, ctx := h.nodes[1], at(t)
	level := func(amr string) assurance.Level {
		t.Helper()
		f := n.fresh(t, ctx)
		r, err := n.Passkey(ctx, f, n.answer(t, ctx, f, a))
		if err != nil || r.Step != authn.StepDone {
			t.Fatalf("%+v, %v", r, err)
		}
		if !slices.Contains(r.Session.AMR, amr) {
			t.Errorf("amr %v, want %s", r.Session.AMR, amr)
		}
		return r.Session.Level()
	}
	if got := level("swk"); got != 2 {
		t.Errorf("level %d without metadata", got)
	}
	for i, c := range []struct {
		protection []string
		level      assurance.Level
		amr        string
	}{{[]string{}, 2, "swk"}, {[]string{"software"}, 2, "swk"}, {[]string{"hardware"}, 3, "hwk"}} {
		blob, err := fido.Blob(i+1, time.Now().AddDate(0, 1, 0), passkeytest.Model{AAGUID: "01000000-0000-0000-0000-000000000000", Description: "A key", Roots: maker.Roots(), Protection: c.protection})
		if err != nil {
			t.Fatal(err)
		}
		m, err := passkey.ParseMetadata(blob, fido.Roots, time.Now())
		if err == nil {
			err = m.Import(t.Context(), h.DB[0])
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := level(c.amr); got != c.level {
				t.Errorf("level %d where the metadata say %v", got, c.protection)
			}
		}
	}
}

// A model that the tenant denies lets nobody in, also where the sign-in had begun before, on another
// node; and no account is easier to enter for it: the second step is asked for all the same.
func TestADeniedModelLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a := &passkeytest.Authenticator{Origin: origin, AAGUID: [16]byte{1}}
	h.key(t, a)
	deny := func(models ...string) {
		h.decide(t, func(s *settings.Authentication) { s.Passkey.Deny = models })
	}
	n, ctx := h.nodes[0], at(t)
	begun := n.fresh(t, ctx)
	if r, err := n.Password(ctx, begun, "ann", good); err != nil || r.Step != authn.StepSecond {
		t.Fatalf("%+v, %v", r, err)
	}
	response := n.answer(t, ctx, begun, a)
	deny("01000000-0000-0000-0000-000000000000")
	refused := func(what string, err error) {
		t.Helper()
		told := identity.Errors(err)
		if !errors.Is(err, identity.ErrUnauthenticated) || len(told) != 1 || told[0].Field != passkey.BarredField {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := n.Passkey(ctx, begun, response)
	refused("begun before", err)
	f := h.nodes[1].fresh(t, ctx)
	if r, err := h.nodes[1].Password(ctx, f, "ann", good); err != nil || r.Step != authn.StepSecond {
		t.Fatalf("the password alone: %+v, %v", r, err)
	}
	_, err = h.nodes[1].Passkey(ctx, f, h.nodes[1].answer(t, ctx, f, a))
	refused("begun after", err)
	for _, n := range h.nodes {
		if err := n.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := h.events(t, event.SigninFailed)
	if len(told) != 2 {
		t.Errorf("%d events of two denials on two nodes", len(told))
	}
	for _, e := range told {
		if e.Data["reason"] != "denied" || e.Data["method"] != string(assurance.Passkey) || e.Target.ID != h.ann.ID || e.Target.Name != "ann" {
			t.Errorf("told of a denied model: %+v", e)
		}
	}
	deny()
	if r, err := n.Passkey(ctx, begun, n.answer(t, ctx, begun, a)); err != nil || r.Step != authn.StepDone {
		t.Errorf("taken back: %+v, %v", r, err)
	}
}

// One answer to one challenge makes one session, on whatever nodes it is given.
func TestPasskeyOnceOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	a := &passkeytest.Authenticator{Origin: origin, UV: true}
	h.passkey(t, a)
	ctx := at(t)
	for round := range races {
		sealed, binding := h.nodes[0].begin(t, ctx)
		f := h.nodes[0].load(t, ctx, sealed, binding)
		response := h.nodes[0].answer(t, ctx, f, a)
		var flows [2]*authn.Flow
		for i := range flows { // all of them before the first is used
			flows[i] = h.nodes[i].load(t, ctx, f.Sealed(), binding)
		}
		var errs [2]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = h.nodes[i].Passkey(ctx, flows[i], response) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v and %v", round, errs[0], errs[1])
		}
	}
}

// A mailbox is no factor beside which a passkey's verification of its user begins to count: whoever
// finds a key can give it a PIN. A password is one.
func TestVerificationIsNotVouchedForByAMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP, a.Passkey.UserVerification = true, "preferred" })
	key := &passkeytest.Authenticator{Origin: origin, Counts: true}
	h.passkey(t, key)
	key.UV = true
	n, ctx := h.nodes[0], at(t)
	f := n.fresh(t, ctx)
	if _, err := n.Mail(ctx, f, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.MailCode(ctx, f, n.letter().Code); err != nil {
		t.Fatal(err)
	}
	r, err := n.Passkey(ctx, f, n.answer(t, ctx, f, key))
	if err != nil || r.Step == authn.StepDone && r.Session.Level() >= 2 {
		t.Errorf("a mail and the key: %+v, %v", r, err)
	}
	f = n.fresh(t, ctx)
	if _, err := n.Password(ctx, f, "ann", good); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Passkey(ctx, f, n.answer(t, ctx, f, key)); err != nil {
		t.Fatal(err)
	}
	f = n.fresh(t, ctx)
	if r, err := n.Passkey(ctx, f, n.answer(t, ctx, f, key)); err != nil || r.Session.Level() != 2 {
		t.Errorf("the key alone, after it was used beside the password: %+v, %v", r, err)
	}
}

// Where nobody signs in by password, a key without a PIN comes after the mailbox, which it is asked
// for beside, and gets nobody back in with it.
func TestAKeyComesAfterAMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	key := &passkeytest.Authenticator{Origin: origin, NoHandle: true, Counts: true}
	h.key(t, key)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP, a.PasswordLogin, a.ForgotPassword = true, false, false })
	n, ctx := h.nodes[0], at(t)
	f := n.fresh(t, ctx)
	if _, err := n.Mail(ctx, f, "ann"); err != nil {
		t.Fatal(err)
	}
	if r, err := n.MailCode(ctx, f, n.letter().Code); err != nil || r.Step != authn.StepSecond {
		t.Fatalf("the mailbox: %+v, %v", r, err)
	}
	back := *f
	back.Need.Recover = true
	if options, err := n.Challenge(ctx, &back); err != nil || strings.Contains(string(options), `"userVerification":"preferred"`) {
		t.Errorf("to get back in: %s, %v", options, err)
	}
	if r, err := n.Passkey(ctx, f, n.answer(t, ctx, f, key)); err != nil || r.Step != authn.StepDone || r.Session.Level() != 1 {
		t.Errorf("the key: %+v, %v", r, err)
	}
}
