package authn_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/session"
)

// equipped is ann with one factor of each kind.
type equipped struct {
	*house
	app   app
	key   *passkeytest.Authenticator
	codes []string
	cert  *x509.Certificate
	bound *certificate.Certificate
}

func equip(t *testing.T) *equipped {
	t.Helper()
	e := &equipped{house: newHouse(t, 2), key: &passkeytest.Authenticator{Origin: origin, UV: true}}
	e.app = e.house.app(t)
	e.passkey(t, e.key)
	var ca *certificatetest.Authority
	ca, made := e.trust(t, func(a *certificate.Authority) { a.Rules = []certificate.Rule{{From: certificate.FromAdded}} })
	e.cert = ca.Person(t, "ann").Leaf
	e.update(t, 0, func(tx *fsm.Tx) (err error) {
		if e.codes, err = recovery.Generate(tx, e.ring, ten, e.ann.ID); err != nil {
			return err
		}
		names, err := certificate.NamesOf(e.cert)
		if err == nil {
			e.bound, err = certificate.Bind(tx, made, names, e.ann.ID, certificate.ByFingerprint, "card")
		}
		return err
	})
	return e
}

// enters signs ann in by her password and a factor or, with m empty, by her passkey alone.
func (e *equipped) enters(t *testing.T, m assurance.Method) session.Session {
	t.Helper()
	e.Pass(t, 30*time.Second) // or a code of the app is spent
	n, ctx := e.nodes[0], at(t)
	var r authn.Result
	var err error
	switch m {
	case "":
		f := n.fresh(t, ctx)
		r, err = n.Passkey(ctx, f, n.answer(t, ctx, f, e.key))
	case assurance.Passkey:
		f := n.half(t, ctx, authn.Browser{})
		r, err = n.Passkey(ctx, f, n.answer(t, ctx, f, e.key))
	case assurance.Certificate:
		r, err = n.Certificate(ctx, n.show(t, ctx, n.half(t, ctx, authn.Browser{}), e.cert))
	case assurance.Recovery:
		r, err = n.Code(ctx, n.half(t, ctx, authn.Browser{}), m, e.codes[0])
		e.codes = e.codes[1:]
	default:
		r, err = n.Code(ctx, n.half(t, ctx, authn.Browser{}), m, e.app.code(e.DB[0].Now()))
	}
	if err != nil || r.Step != authn.StepDone || r.Session.Level() != 2 {
		t.Fatalf("%s: %+v, %v", m, r, err)
	}
	return r.Session
}

// removes takes a factor away in a session of ann's, at the other node.
func (e *equipped) removes(t *testing.T, m assurance.Method, in string) {
	t.Helper()
	ctx := identity.WithActor(t.Context(), identity.Actor{Kind: identity.ActorUser, ID: e.ann.ID, SessionID: in})
	err := e.DB[1].Update(ctx, func(tx *fsm.Tx) error {
		switch m {
		case assurance.TOTP:
			apps, err := totp.List(tx, ten, e.ann.ID)
			if err != nil {
				return err
			}
			return totp.Remove(tx, ten, e.ann.ID, apps[0].ID)
		case assurance.Recovery:
			return recovery.Remove(tx, ten, e.ann.ID)
		case assurance.Certificate:
			return certificate.Delete(tx, ten, e.ann.ID, e.bound.ID)
		}
		var ids []string
		for k, err := range passkey.List(tx, ten, e.ann.ID) {
			if err != nil {
				return err
			}
			ids = append(ids, k.ID)
		}
		return passkey.Delete(tx, ten, e.ann.ID, ids[0])
	})
	if err != nil {
		t.Fatal(err)
	}
}

// now is a session as a node has it; nil: it has ended.
func (e *equipped) now(t *testing.T, node int, id string) (s *session.Session) {
	t.Helper()
	err := e.DB[node].View(t.Context(), func(tx *fsm.Tx) (err error) { s, err = session.Get(tx, ten, id); return err })
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		t.Fatal(err)
	}
	return s
}

// Whoever came in with a factor that is removed is no better known than by the rest, at once and on every node; what
// was proved otherwise stays.
func TestARemovedFactorLeavesSessions(t *testing.T) {
	t.Parallel()
	aal2 := authn.Need{Tenant: ten, ACR: []string{assurance.Level(2).ACR()}}
	for _, m := range []assurance.Method{assurance.TOTP, assurance.Recovery, assurance.Passkey, assurance.Certificate} {
		e := equip(t)
		beside := assurance.TOTP
		if m == beside {
			beside = assurance.Passkey
		}
		own, thief, other := e.enters(t, m), e.enters(t, m), e.enters(t, beside)
		e.removes(t, m, own.ID)
		for i, n := range e.nodes {
			for _, id := range []string{own.ID, thief.ID} {
				s := e.now(t, i, id)
				if s == nil || s.Level() != 1 || s.ACR != assurance.Level(1).ACR() || !slices.Equal(s.AMR, []string{"pwd"}) {
					t.Fatalf("%s, node %d: %+v", m, i, s)
				}
				if got, err := n.Stands(t.Context(), s, aal2); err != nil || got != authn.More {
					t.Errorf("%s, node %d: stands %v, %v", m, i, got, err)
				}
				n.sensitive(t, s, authn.More)
			}
			if s := e.now(t, i, other.ID); s == nil || s.Level() != 2 {
				t.Errorf("%s, node %d: %s fell with it: %+v", m, i, beside, s)
			}
		}
	}
}

// A browser that approved a sign-in is a factor like the others: with it goes what it vouched for.
func TestARemovedApproverLeavesSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	b := h.approver(t, h.app(t))
	ctx := from(t, "198.51.100.7")
	f := h.nodes[0].half(t, ctx, authn.Browser{})
	if _, err := h.nodes[0].Ask(ctx, f); err != nil {
		t.Fatal(err)
	}
	if right, err := h.approve(t, 1, b, f); !right || err != nil {
		t.Fatalf("%v, %v", right, err)
	}
	r, err := h.nodes[1].Approved(ctx, f)
	if err != nil || r.Session.Level() != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return approval.RemoveAll(tx, ten, h.ann.ID, "a stolen telephone") })
	e := &equipped{house: h}
	if s := e.now(t, 0, r.Session.ID); s == nil || s.Level() != 1 || !slices.Equal(s.AMR, []string{"pwd"}) {
		t.Errorf("the session that was approved: %+v", s)
	}
	if s := e.now(t, 0, b.session); s == nil || s.Level() != 2 {
		t.Errorf("that of the app: %+v", s)
	}
}

// A session that rests on nothing but what is removed ends; the one in which it is removed goes on, with nothing that
// it proves.
func TestARemovedPasskeyWasAll(t *testing.T) {
	t.Parallel()
	e := equip(t)
	own, thief := e.enters(t, ""), e.enters(t, "")
	e.removes(t, assurance.Passkey, own.ID)
	for i, n := range e.nodes {
		if s := e.now(t, i, thief.ID); s != nil {
			t.Errorf("node %d: the other goes on: %+v", i, s)
		}
		s := e.now(t, i, own.ID)
		if s == nil || s.Level() != 1 || len(s.AMR) != 0 || assurance.Has(s.Proofs(), assurance.Password) {
			t.Fatalf("node %d: %+v", i, s)
		}
		n.sensitive(t, s, authn.More)
	}
}

// Of several apps and passkeys only what was used counts; what an older release wrote does not say which.
func TestOneOfSeveralIsRemoved(t *testing.T) {
	t.Parallel()
	e := equip(t)
	second := &passkeytest.Authenticator{Origin: origin, UV: true}
	e.passkey(t, second) // listed after the first
	first := e.enters(t, assurance.Passkey)
	e.key = second
	kept := e.enters(t, assurance.Passkey)
	e.removes(t, assurance.Passkey, "")
	if s := e.now(t, 0, first.ID); s == nil || s.Level() != 1 {
		t.Errorf("with the one that is gone: %+v", s)
	}
	if s := e.now(t, 0, kept.ID); s == nil || s.Level() != 2 {
		t.Errorf("with the one that stays: %+v", s)
	}
	if old := (assurance.Factor{Method: assurance.Passkey}); !old.With(assurance.Passkey, "pky_1") || old.With(assurance.TOTP, "") {
		t.Error("what does not say which may have been it")
	}
}
