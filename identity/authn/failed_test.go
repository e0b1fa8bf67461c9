package authn_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// What was tried is on record by the method it was tried by, and a code that is used again by itself: it was right, and
// somebody may have seen it.
func TestFailuresTellHowItWasTried(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.verify(t)
	h.decide(t, func(a *settings.Authentication) { a.EmailOTP = true })
	a, n, ctx := h.app(t), h.nodes[0], from(t, "192.0.2.1")
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, err := recovery.Generate(tx, h.ring, ten, h.ann.ID)
		return err
	})
	refused := func(_ authn.Result, err error) {
		t.Helper()
		if !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatalf("got %v", err)
		}
	}
	half := func() *authn.Flow { return n.half(t, ctx, authn.Browser{}) }
	refused(n.try(t, ctx, authn.Browser{}, "ann", "wrong"))
	refused(n.Code(ctx, half(), assurance.TOTP, "nonsense"))
	refused(n.Code(ctx, half(), assurance.Recovery, "nonsense"))
	mailed := n.fresh(t, ctx)
	if _, err := n.Mail(ctx, mailed, "ann"); err != nil {
		t.Fatal(err)
	}
	refused(n.MailCode(ctx, mailed, "nonsense"))
	code := a.code(h.DB[0].Now())
	if _, err := n.Code(ctx, half(), assurance.TOTP, code); err != nil {
		t.Fatal(err)
	}
	refused(n.Code(ctx, half(), assurance.TOTP, code))
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range h.events(t, event.SigninFailed) {
		got[e.Data["method"]+" "+e.Data["reason"]] += e.Data["count"]
		if e.Target.ID != h.ann.ID || e.Target.Name != "ann" {
			t.Errorf("of whom: %+v", e.Target)
		}
	}
	want := map[string]string{
		"password wrong_password": "1", "totp wrong_code": "1", "recovery wrong_code": "1", "mail wrong_code": "1", "totp code_used_again": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
