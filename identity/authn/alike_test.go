package authn_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/settings"
)

// What is said and done must not tell whether there is such a user. That it takes as long is
// measured, by `go run ./e2e/bench -only timing`: a test that measures time is wrong now and then.
// Here is counted what takes the time.

// An asking is what asking for a mail came to.
type asking struct {
	Step                authn.Step
	Flow, Code, Token   int // lengths
	Letters, Entries    int
	Hashes              int64
	Tallies, Kinds      int
	Application, Locale string
	Recover             bool
}

func TestAskingForMailLooksAlike(t *testing.T) {
	t.Parallel()
	for what, need := range map[string]authn.Need{
		"to sign in":     {ReturnTo: "/", Application: "Shop", Locales: "fr"},
		"to get back in": {ReturnTo: "/", Application: "Shop", Locales: "fr", Recover: true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1)
			h.verify(t)
			h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
			n, ctx := h.nodes[0], from(t, "192.0.2.1")
			ask := func(name string) asking {
				open, err := n.Begin(ctx, need)
				if err != nil {
					t.Fatal(err)
				}
				f := n.load(t, ctx, open, "")
				if _, err := n.Bind(f, ""); err != nil {
					t.Fatal(err)
				}
				before, hashes := h.Entries(), n.checks.Load()
				n.sent.Store(nil)
				r, err := n.Mail(ctx, f, name)
				if err != nil {
					t.Fatal(err)
				}
				l := n.letter()
				if l == nil || l.Flow != r.Flow {
					t.Fatalf("%s: letter %+v", name, l)
				}
				a := asking{
					Step: r.Step, Flow: len(r.Flow), Code: len(l.Code), Token: len(l.Token), Letters: 1,
					Entries: h.Entries() - before, Hashes: n.checks.Load() - hashes,
					Application: l.Application, Locale: l.Locales, Recover: l.Recover,
				}
				a.Tallies, a.Kinds = n.Remembered()
				return a
			}
			somebody, nobody := ask("ann"), ask("bob")
			if diff := cmp.Diff(somebody, nobody); diff != "" {
				t.Errorf("somebody and nobody (-, +):\n%s", diff)
			}
		})
	}
}

// The challenge for a passkey is the same for whoever was named before.
func TestPasskeyOptionsTellNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.passkey(t, &passkeytest.Authenticator{Origin: origin, UV: true})
	n, ctx := h.nodes[0], at(t)
	options := func(name string) (out map[string]any) {
		f := n.fresh(t, ctx)
		if _, err := n.Password(ctx, f, name, "wrong"); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatal(err)
		}
		b, err := n.Challenge(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatal(err)
		}
		if c, _ := out["challenge"].(string); c == "" {
			t.Fatalf("no challenge: %s", b)
		}
		delete(out, "challenge")
		return out
	}
	if diff := cmp.Diff(options("ann"), options("bob")); diff != "" {
		t.Errorf("ann, who has one, and bob, who does not exist (-, +):\n%s", diff)
	}
}
