package authn_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

func TestSignInOverThreeNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	ctx := from(t, "192.0.2.1")
	before := h.Entries()
	sealed, binding := h.nodes[0].begin(t, ctx)
	f := h.nodes[1].load(t, ctx, sealed, binding)
	if f.Step() != authn.StepPassword {
		t.Errorf("step %q", f.Step())
	}
	if got := h.Entries() - before; got != 0 {
		t.Errorf("beginning and loading cost %d entries", got)
	}
	r, err := h.nodes[2].Password(ctx, f, "Ann@Example.com", good)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("signing in cost %d entries, want 1", got)
	}
	for i, n := range h.nodes {
		s, err := n.sessions.Find(ctx, ten, r.Cookie)
		if err != nil || s.UserID != h.ann.ID || s.IP != "192.0.2.1" || s.ACR != assurance.Level(1).ACR() || s.AMR[0] != "pwd" {
			t.Errorf("node %d: %+v, %v", i, s, err)
		}
	}
	started := h.events(t, event.SessionStarted)
	if len(started) != 1 || started[0].Actor.ID != h.ann.ID || started[0].Target.ID != r.Session.ID {
		t.Errorf("events: %+v", started)
	}
	err = h.DB[1].View(ctx, func(tx *fsm.Tx) error {
		at, err := session.LastSignin(tx, ten, h.ann.ID)
		if !at.Equal(r.Session.AuthTime) {
			t.Errorf("last sign-in %v, want %v", at, r.Session.AuthTime)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneFlowOneSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	ctx := from(t, "192.0.2.1")
	sealed, binding := h.nodes[0].begin(t, ctx)
	const tries = 9
	flows, errs := make([]*authn.Flow, tries), make([]error, tries)
	for i := range tries {
		flows[i] = h.nodes[i%3].load(t, ctx, sealed, binding)
	}
	var wg sync.WaitGroup
	for i, f := range flows {
		wg.Go(func() { _, errs[i] = h.nodes[i%3].Password(ctx, f, "ann", good) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, authn.ErrDeadFlow) && !errors.Is(err, identity.ErrLimited) {
			t.Errorf("loser got %v", err)
		}
	}
	if n := len(h.events(t, event.SessionStarted)); won != 1 || n != 1 {
		t.Errorf("%d won, %d sessions; want 1 and 1", won, n)
	}
	if _, err := h.nodes[0].Load(ctx, sealed, binding); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("spent flow: got %v, want ErrDeadFlow", err)
	}
}

func TestAllRefusalsLookAlike(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.user(t, directory.User{Username: "off", Disabled: true}, good)
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, err := directory.CreateUser(tx, ten, directory.User{Username: "bare"})
		return err
	})
	before := h.Entries()
	var texts []string
	for i, c := range []struct{ name, password string }{
		{"ann", "wrong"}, {"nobody", good}, {"off", good}, {"off", "wrong"}, {"bare", good}, {"a b\x00", good}, {"no@such", good},
	} {
		_, err := n.try(t, from(t, fmt.Sprint("192.0.2.", i)), authn.Browser{}, c.name, c.password)
		if !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%q: got %v, want ErrUnauthenticated", c.name, err)
			continue
		}
		texts = append(texts, err.Error())
		if got := n.checks.Load(); got != int64(i+1) {
			t.Errorf("%q: %d passwords were hashed, want %d", c.name, got, i+1)
		}
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q and %q can be told apart", text, texts[0])
		}
	}
	if got := h.Entries() - before; got != 0 {
		t.Errorf("failures cost %d entries", got)
	}
}

func TestFailuresAreWrittenTogether(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	n := h.nodes[0]
	for range 3 {
		n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", "wrong")
	}
	n.try(t, from(t, "192.0.2.2"), authn.Browser{}, "my secret password", "ann")
	before := h.Entries()
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.Entries() - before; got != 1 {
		t.Errorf("flush took %d entries, want 1", got)
	}
	if tallies, kinds := n.Remembered(); tallies+kinds != 0 {
		t.Errorf("%d tallies and %d kinds are left", tallies, kinds)
	}
	got := map[string]string{}
	for _, e := range h.events(t, event.SigninFailed) {
		got[e.Target.ID] = e.Data["reason"] + " " + e.Data["count"] + " " + e.Request.IP
		if strings.Contains(fmt.Sprint(e), "secret") {
			t.Errorf("what a stranger typed is in the event: %+v", e)
		}
	}
	want := map[string]string{h.ann.ID: "wrong_password 3 192.0.2.1", "": "unknown_user 1 192.0.2.2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A reset of the password, or a lock of the account, must not be slipped past by a
// sign-in that is under way.
func TestChangesBetweenCheckAndFinish(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(tx *fsm.Tx, h *house, phc string) error{
		"password": func(tx *fsm.Tx, h *house, phc string) error { return credential.SetPassword(tx, ten, h.ann.ID, phc) },
		"disabled": func(tx *fsm.Tx, h *house, _ string) error {
			_, err := directory.UpdateUser(tx, ten, h.ann.ID, 0, func(u *directory.User) error { u.Disabled = true; return nil })
			return err
		},
		"deleted": func(tx *fsm.Tx, h *house, _ string) error { return directory.DeleteUser(tx, ten, h.ann.ID, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 2)
			phc := h.hash(t, "another good password")
			h.nodes[0].checked = func() {
				h.Pass(t, time.Second)
				h.update(t, 1, func(tx *fsm.Tx) error { return change(tx, h, phc) })
			}
			_, err := h.nodes[0].try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", good)
			if !errors.Is(err, identity.ErrUnauthenticated) {
				t.Errorf("got %v, want ErrUnauthenticated", err)
			}
			if n := len(h.events(t, event.SessionStarted)); n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// A node that lags must not take yesterday's password.
func TestALaggingNodeCatchesUpFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	phc := h.hash(t, "another good password")
	h.Pause(1)
	h.update(t, 0, func(tx *fsm.Tx) error { return credential.SetPassword(tx, ten, h.ann.ID, phc) })
	if _, err := h.nodes[1].try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", good); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the old password: got %v", err)
	}
	if _, err := h.nodes[1].try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", "another good password"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

func TestWithoutALeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	f := n.fresh(t, from(t, "192.0.2.1"))
	h.SetLeader(false)
	for _, name := range []string{"ann", "nobody"} {
		if _, err := n.Password(from(t, "192.0.2.1"), f, name, good); !errors.Is(err, fsm.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
	h.SetLeader(true)
	if _, err := n.Password(from(t, "192.0.2.1"), f, "ann", good); err != nil {
		t.Errorf("the flow did not survive the outage: %v", err)
	}
}

func TestSigningInAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	h.user(t, directory.User{Username: "bob"}, good)
	first, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.try(t, ctx, authn.Browser{SessionID: first.Session.ID}, "ann", good)
	if err != nil || again.Session.ID != first.Session.ID || again.Cookie == first.Cookie {
		t.Errorf("got %+v, %v", again.Session, err)
	}
	if _, err := n.sessions.Find(ctx, ten, first.Cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the old cookie: got %v", err)
	}
	bob, err := n.try(t, ctx, authn.Browser{SessionID: first.Session.ID}, "bob", good)
	if err != nil || bob.Session.ID == first.Session.ID {
		t.Errorf("got %+v, %v", bob.Session, err)
	}
	if _, err := n.sessions.Find(ctx, ten, again.Cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("ann's session beside bob's: got %v", err)
	}
}

func TestOldestSessionsGiveWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	var first string
	for i := range 105 {
		r, err := n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", good)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = r.Session.ID
		}
	}
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		all, err := n.sessions.ListOf(tx, ten, h.ann.ID)
		if len(all) != 100 {
			t.Errorf("%d sessions, want 100", len(all))
		}
		if _, err := session.Get(tx, ten, first); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("the first session: got %v", err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", good)
	n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", "wrong")
	all, err := n.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range all {
		for _, m := range family.Metric {
			key := family.GetName()
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			got[key] = m.Counter.GetValue() + float64(m.Histogram.GetSampleCount())
		}
	}
	want := map[string]float64{
		"quis_logins_total password  success": 1, "quis_logins_total password wrong_password failure": 1,
		"quis_login_duration_seconds password": 2, "quis_login_failures_unrecorded_total": 0,
		"quis_signin_held_total network": 0, "quis_signin_held_total neighbourhood": 0, "quis_signin_held_total password": 0, "quis_signin_held_total stuffing": 0,
		"quis_signin_waves network": 0, "quis_signin_waves password": 0, "quis_signin_waves stuffing": 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
