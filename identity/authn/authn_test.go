package authn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
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
		if err != nil || s.UserID != h.ann.ID || s.IP != "192.0.2.1" || s.ACR != authn.ACRPassword || s.AMR[0] != "pwd" {
			t.Errorf("node %d: %+v, %v", i, s, err)
		}
	}
	started := h.events(t, event.SessionStarted)
	if len(started) != 1 || started[0].Actor.ID != h.ann.ID || started[0].Target.ID != r.Session.ID {
		t.Errorf("events: %+v", started)
	}
	err = h.DB[1].View(ctx, func(tx *fsm.Tx) error {
		at, err := authn.LastSignin(tx, ten, h.ann.ID)
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

func TestDeadFlows(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	sealed, binding := n.begin(t, ctx)
	for name, c := range map[string]struct{ sealed, binding string }{
		"no binding": {sealed, ""}, "another browser's": {sealed, binding + "x"}, "empty": {"", binding}, "garbage": {"!!", binding},
		"cut": {sealed[:len(sealed)-4], binding}, "changed": {sealed[:60] + string(sealed[60]^1) + sealed[61:], binding}, "huge": {strings.Repeat("A", 1<<20), binding},
	} {
		if _, err := n.Load(ctx, c.sealed, c.binding); !errors.Is(err, authn.ErrDeadFlow) || !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrDeadFlow", name, err)
		}
	}
	other := identity.WithTenant(ctx, identity.Tenant{ID: "ten_other"})
	if _, err := n.Load(other, sealed, binding); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("in another tenant: got %v", err)
	}
	open, err := n.Begin(ctx, authn.Need{ReturnTo: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Password(ctx, n.load(t, ctx, open, ""), "ann", good); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("a flow bound to nobody: got %v", err)
	}
	f := n.load(t, ctx, sealed, binding)
	if _, err := n.Bind(f, ""); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("bound twice: got %v", err)
	}
	h.pass(t, 16*time.Minute)
	if _, err := n.Load(ctx, sealed, binding); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("expired: got %v", err)
	}
	if _, err := n.Password(ctx, f, "ann", good); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("expired after it was loaded: got %v", err)
	}
	if n.checks.Load() != 0 {
		t.Error("a dead flow was worth a password check")
	}
}

func TestOneBindingServesManyFlows(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	one, binding := n.begin(t, ctx)
	open, err := n.Begin(ctx, authn.Need{ReturnTo: "/"})
	if err != nil {
		t.Fatal(err)
	}
	f := n.load(t, ctx, open, binding)
	if same, err := n.Bind(f, binding); err != nil || same != binding {
		t.Errorf("got %q, %v", same, err)
	}
	n.load(t, ctx, one, binding)
	n.load(t, ctx, f.Sealed(), binding)
	f = n.load(t, ctx, open, "")
	if fresh, err := n.Bind(f, "chosen by someone"); err != nil || fresh == "chosen by someone" {
		t.Errorf("a binding of any text was taken: %q, %v", fresh, err)
	}
}

func TestReturnTo(t *testing.T) {
	t.Parallel()
	for path, ok := range map[string]bool{
		"/": true, "/oauth2/authorize?a=b&c=%2F%2Fd": true, "/t/acme/oauth2/authorize?x": true,
		"": false, "x": false, "//evil": false, "/\\evil": false, "/a\\b": false, "https://evil/": false, "/a\nb": false, "/\t/evil": false,
		"/a#b": false, "/é": false, "javascript:x": false, "/a b": false, "/%zz": false, "/" + strings.Repeat("a", 4096): false,
	} {
		if authn.LocalPath(path) != ok {
			t.Errorf("%q: want %v", path, ok)
		}
	}
	h := newHouse(t, 1)
	ctx := from(t, "")
	if _, err := h.nodes[0].Begin(ctx, authn.Need{ReturnTo: "//evil"}); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	day := 24 * time.Hour
	full := authn.Need{
		ReturnTo: "/" + strings.Repeat("a", 4095), LoginHint: strings.Repeat("h\xff", 9999), Login: true, MaxAge: &day,
		Application: strings.Repeat("ä", 9999), Locales: strings.Repeat("de ", 999),
	}
	sealed, err := h.nodes[0].Begin(ctx, full)
	if err != nil {
		t.Fatal(err)
	}
	f := h.nodes[0].load(t, ctx, sealed, "")
	if _, err := h.nodes[0].Bind(f, ""); err != nil || len(f.Sealed()) > 6<<10 {
		t.Errorf("a full flow has %d bytes: %v", len(f.Sealed()), err)
	}
	if f.Need.ReturnTo != full.ReturnTo || *f.Need.MaxAge != day {
		t.Error("the need has changed on its way")
	}
}

func TestTicket(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	ctx := from(t, "192.0.2.1")
	r, err := h.nodes[0].try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(r.ReturnTo, "?")
	if path != "/oauth2/authorize" || !strings.HasPrefix(query, "client_id=web&flow_done=") {
		t.Errorf("return to %s", r.ReturnTo)
	}
	ticket, ok := h.nodes[1].Finished(ctx, query)
	if !ok || ticket.SessionID != r.Session.ID || ticket.Begun.After(r.Session.AuthTime) || ticket.FlowID == "" {
		t.Errorf("got %+v, %v", ticket, ok)
	}
	alone, err := h.nodes[0].Begin(ctx, authn.Need{ReturnTo: "/start"})
	if err != nil {
		t.Fatal(err)
	}
	f := h.nodes[0].load(t, ctx, alone, "")
	if _, err := h.nodes[0].Bind(f, ""); err != nil {
		t.Fatal(err)
	}
	r, err = h.nodes[0].Password(ctx, f, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	_, query2, _ := strings.Cut(r.ReturnTo, "?")
	if _, ok := h.nodes[0].Finished(ctx, query2); !ok {
		t.Errorf("no ticket at %s", r.ReturnTo)
	}
	other := identity.WithTenant(ctx, identity.Tenant{ID: "ten_other"})
	if _, ok := h.nodes[0].Finished(other, query); ok {
		t.Error("a ticket holds in another tenant")
	}
	for _, bad := range []string{
		"", "flow_done=", "client_id=web", strings.Replace(query, "web", "evil", 1), query + "x", query + "&scope=x",
		"scope=x&" + query, strings.TrimPrefix(query, "client_id=web&"), strings.Replace(query, "&flow_done", "flow_done", 1),
	} {
		if _, ok := h.nodes[0].Finished(ctx, bad); ok {
			t.Errorf("%.60q holds a ticket", bad)
		}
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
				h.pass(t, time.Second)
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
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzLoad(f *testing.F) {
	h := newHouse(f, 1)
	n := h.nodes[0]
	ctx := identity.WithTenant(context.Background(), identity.Tenant{ID: ten})
	sealed, binding := n.begin(f, ctx)
	f.Add(sealed, binding)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, bound string) {
		_, err := n.Load(ctx, text, bound)
		if err == nil && (text != sealed || bound != binding) || err != nil && !errors.Is(err, authn.ErrDeadFlow) {
			t.Errorf("%q %q: %v", text, bound, err)
		}
	})
}

func FuzzFinished(f *testing.F) {
	h := newHouse(f, 1)
	n := h.nodes[0]
	ctx := identity.WithTenant(context.Background(), identity.Tenant{ID: ten})
	r, err := n.try(f, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		f.Fatal(err)
	}
	_, query, _ := strings.Cut(r.ReturnTo, "?")
	f.Add(query)
	f.Add("flow_done=")
	f.Fuzz(func(t *testing.T, q string) {
		if _, ok := n.Finished(ctx, q); ok != (q == query) {
			t.Errorf("%q: %v", q, ok)
		}
	})
}
