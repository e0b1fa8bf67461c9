package authn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
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

// TestStrangersTakeAsLongAsSomebody: a name that nobody has, or whose owner has no password, fails as slowly as a user whom
// chance has chosen for it, by whatever it is spelled and at every node; that user's own password is as wrong as any.
func TestStrangersTakeAsLongAsSomebody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	users := map[string]bool{h.ann.ID: true, h.user(t, directory.User{Username: "bob"}, good).ID: true}
	h.update(t, 0, func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, ten, directory.User{Username: "passkeys", Email: "passkeys@example.com"})
		if err == nil {
			users[u.ID] = true
		}
		return err
	})
	drawn := map[string]string{}
	for i, name := range []string{"zoe", "ZOE ", "zoe@example.com", "passkeys", "passkeys@example.com"} {
		for _, n := range h.nodes {
			n.standIn.Store(nil)
			_, err := n.try(t, from(t, fmt.Sprint("192.0.2.", i)), authn.Browser{}, name, good)
			if !errors.Is(err, identity.ErrUnauthenticated) {
				t.Fatalf("%s: %v", name, err)
			}
			who, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(name)), "@")
			got := n.standIn.Load()
			if got == nil || !users[*got] {
				t.Fatalf("%s: checked instead: %v", name, got)
			}
			if former, there := drawn[who]; there && former != *got {
				t.Errorf("%s: %s, and %s before", name, *got, former)
			}
			drawn[who] = *got
		}
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
