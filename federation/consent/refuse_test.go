package consent_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

func TestRefusesConsentOfAnotherSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.ask("openid")
	for _, who := range [][2]string{{"usr_other", h.session}, {h.user, "ses_other"}, {h.user, ""}, {"", ""}} {
		if _, err := h.desks[0].Open(h.ctx(), text, who[0], who[1]); !errors.Is(err, consent.ErrOther) {
			t.Errorf("%v: %v", who, err)
		}
	}
	other := identity.WithTenant(t.Context(), identity.Tenant{ID: "ten_other", Slug: "other"})
	if _, err := h.desks[0].Open(other, text, h.user, h.session); !errors.Is(err, consent.ErrDead) {
		t.Errorf("in another tenant: %v", err)
	}
}

func TestRefusesScopeUpgradeByEditingTheForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.ask("openid", "email")
	if n := h.entries(func() {
		if _, err := h.allow(0, text, "email", "orders"); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("a scope that was not asked for: %v", err)
		}
	}); n != 0 || h.stored() != nil {
		t.Errorf("%d entries, stored %+v", n, h.stored())
	}
	if _, err := h.desks[0].Open(h.ctx(), text[:len(text)-4]+"AAAA", h.user, h.session); !errors.Is(err, consent.ErrDead) {
		t.Errorf("an edited question: %v", err)
	}
	if _, err := h.allow(0, text); err != nil { // openid is not optional, email is
		t.Fatal(err)
	}
	if c := h.stored(); !slices.Equal(c.Scopes, []string{"openid"}) || !slices.Equal(c.Declined, []string{"email"}) {
		t.Errorf("stored %+v", c)
	}
}

func TestRefusesAnAnswerASecondTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, second := h.ask("openid", "email"), h.ask("openid", "email")
	if _, err := h.allow(0, first, "email"); err != nil {
		t.Fatal(err)
	}
	// A second click on another node is the same answer; it makes no state.
	if n := h.entries(func() {
		if _, err := h.allow(2, first, "email"); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a second click cost %d log entries", n)
	}
	if _, err := h.allow(1, second, "email"); !errors.Is(err, consent.ErrDead) {
		t.Errorf("another question from before the answer: %v", err)
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	for i, text := range []string{first, second} {
		if _, err := h.allow(i, text, "email"); !errors.Is(err, consent.ErrDead) {
			t.Errorf("answer %d brings back what was revoked: %v", i, err)
		}
	}
	third := h.ask("openid")
	h.later(16 * time.Minute)
	if _, err := h.desks[0].Open(h.ctx(), third, h.user, h.session); !errors.Is(err, consent.ErrDead) {
		t.Errorf("after its time: %v", err)
	}
}

func TestRefusesAnswersOfAnEndedSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.ask("openid")
	q, err := h.desks[1].Open(h.ctx(), text, h.user, h.session)
	if err != nil {
		t.Fatal(err)
	}
	h.cluster.Pause(1)
	h.update(func(tx *fsm.Tx) error { return session.End(tx, tenant, h.session) })
	h.cluster.Resume(t, 1)
	if _, err := h.desks[1].Allow(h.ctx(), q, nil); !errors.Is(err, consent.ErrDead) {
		t.Error(err)
	}
	if h.stored() != nil {
		t.Error("it is stored all the same")
	}
}

func TestRevocationVoidsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAllow("openid")
	stands := func(given uint64) (err error) {
		h.update(func(tx *fsm.Tx) error { err = consent.Stands(tx, tenant, h.user, h.app.ID, given); return nil })
		return err
	}
	given := h.index()
	if err := stands(given); err != nil {
		t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	if err := stands(given); !errors.Is(err, family.ErrDead) {
		t.Errorf("revoked: %v", err)
	}
	h.mustAllow("openid")
	if err := stands(given); !errors.Is(err, family.ErrDead) {
		t.Errorf("revoked and allowed again: %v", err)
	}
	if err := stands(h.index()); err != nil {
		t.Errorf("given afterwards: %v", err)
	}
	h.mustAllow("openid", "email")
	if err := stands(given); !errors.Is(err, family.ErrDead) {
		t.Errorf("and more: %v", err)
	}
	h.update(func(tx *fsm.Tx) error {
		err := consent.Revoke(tx, tenant, "usr_nobody", h.app.ID, "test")
		if !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("nothing to revoke: %v", err)
		}
		return nil
	})
}

// TestRestoredConsentIsAskedAboutAgain: it may have been taken back after the backup was made.
func TestRestoredConsentIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAllow("openid", "email")
	asked := consent.Asked{Scopes: []string{"openid", "email"}}
	if h.decide(asked).Ask {
		t.Fatal("asked although it is allowed")
	}
	s, err := h.cluster.DB[0].OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	var backup, adopted bytes.Buffer
	_, err = s.WriteTo(&backup)
	begun, berr := seal.Restoration{At: time.Now(), Archive: "bak_1", Index: 1, Done: true}.Begin()
	if err := errors.Join(err, berr, s.Close()); err != nil {
		t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	if _, err := h.cluster.DB[0].Adopt(&adopted, &backup, begun); err != nil {
		t.Fatal(err)
	}
	if err := h.cluster.DB[0].Restore(&adopted); err != nil {
		t.Fatal(err)
	}
	if d := h.decide(asked); !d.Ask || h.stored() == nil {
		t.Errorf("after a restore: %+v, stored %+v", d, h.stored())
	}
}

func TestTicketIsForItsQueryOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	to, err := h.allow(0, h.ask("openid"))
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"another query": strings.Replace(to, "state=1", "state=2", 1), "more": to + "&x=1", "cut": to[:len(to)-1], "before": strings.Replace(to, "?", "?x=1&", 1),
	} {
		if _, ticket := h.finished(1, other); ticket != nil {
			t.Errorf("%s: %+v", name, ticket)
		}
	}
	h.later(3 * time.Minute)
	if _, ticket := h.finished(1, to); ticket != nil {
		t.Error("it never ends")
	}
	if before, ticket := h.finished(0, "/x?a=b"); ticket != nil || before != "a=b" {
		t.Errorf("no ticket: %q %+v", before, ticket)
	}
}

// Whoever acts as somebody else allows nothing in their name: it would stand when they are gone.
func TestRefusesConsentInSomebodyElsesName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	sessions := session.NewStore(session.Config{DB: h.cluster.DB[0]})
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(tenant)
		a.AllowImpersonation = true
		if err := settings.Put(tx, 0, a); err != nil {
			return err
		}
		admin, err := directory.CreateUser(tx, tenant, directory.User{Username: "root", Admin: true})
		if err != nil {
			return err
		}
		started, err := sessions.Impersonate(tx, tenant, h.user, session.Impersonation{UserID: admin.ID, Tenant: tenant, Reason: "x"}, time.Hour)
		h.session = started.Session.ID
		return err
	})
	for node := range h.desks {
		if _, err := h.allow(node, h.ask("openid", "orders"), "openid", "orders"); !errors.Is(err, identity.ErrDenied) {
			t.Errorf("node %d: %v", node, err)
		}
	}
	if c := h.stored(); c != nil {
		t.Errorf("%+v", c)
	}
}
