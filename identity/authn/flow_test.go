package authn_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
)

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
	h.Pass(t, 16*time.Minute)
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

// Who asks for more time has it, on any node and without an entry: again and again as long as they have
// proved nothing, and then for a while, in which the flow is still good for one session.
func TestProlong(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a := h.app(t)
	ctx := from(t, "192.0.2.1")
	sealed, binding := h.nodes[0].begin(t, ctx)
	begun := h.nodes[0].db.Now()
	prolong := func(i int) *authn.Flow {
		t.Helper()
		h.Pass(t, 14*time.Minute)
		f, before := h.nodes[i%2].load(t, ctx, sealed, binding), h.Entries()
		if err := h.nodes[i%2].Prolong(f); err != nil || h.Entries() != before {
			t.Fatalf("%d entries, %v", h.Entries()-before, err)
		}
		sealed = f.Sealed()
		return f
	}
	for i := range 10 {
		prolong(i)
	}
	if got := h.nodes[0].db.Now().Sub(begun).Round(time.Second); got != 140*time.Minute {
		t.Fatalf("alive for %s", got)
	}
	r, err := h.nodes[0].Password(ctx, h.nodes[0].load(t, ctx, sealed, binding), "ann", good)
	if err != nil || r.Step != authn.StepSecond {
		t.Fatalf("step %q, %v", r.Step, err)
	}
	first := h.nodes[1].load(t, ctx, r.Flow, binding)
	sealed = r.Flow
	f := prolong(0)
	if f.ID != first.ID || f.Step() != authn.StepSecond || !f.Expires.After(first.Expires) {
		t.Errorf("%s at step %q until %s has become %s at %q until %s", first.ID, first.Step(), first.Expires, f.ID, f.Step(), f.Expires)
	}
	if _, err := h.nodes[0].Code(ctx, first, assurance.TOTP, a.code(h.nodes[0].db.Now())); err != nil {
		t.Fatal(err)
	}
	h.Pass(t, f.Expires.Sub(h.nodes[0].db.Now())-time.Second)
	if _, err := h.nodes[1].Load(ctx, f.Sealed(), binding); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("a copy with more time has outlived the mark of the one that was used: %v", err)
	}
}

// There is an end to it once something has been proved.
func TestProlongHasAnEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app(t)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	sealed, binding := n.begin(t, ctx)
	r, err := n.Password(ctx, n.load(t, ctx, sealed, binding), "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	begun, sealed := n.db.Now(), r.Flow
	for {
		f, err := n.Load(ctx, sealed, binding)
		if errors.Is(err, authn.ErrDeadFlow) {
			break
		}
		if err == nil {
			err = n.Prolong(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		sealed = f.Sealed()
		h.Pass(t, 4*time.Minute)
	}
	if got := n.db.Now().Sub(begun).Round(time.Minute); got != 48*time.Minute { // it was good at 44
		t.Errorf("a password that was proved was good for %s", got)
	}
}

// What a flow is for may end before it would, and then no more time is promised, and nobody is led there.
func TestAFlowEndsWithWhatItIsFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	begun := n.db.Now()
	left := func(f *authn.Flow, want time.Duration, more bool) {
		t.Helper()
		if got, can := n.Left(f); got.Round(time.Second) != want || can != more {
			t.Errorf("left %s, more %v, want %s, %v", got, can, want, more)
		}
	}
	begin := func(until time.Time) (*authn.Flow, string) {
		t.Helper()
		open, err := n.Begin(ctx, authn.Need{ReturnTo: "/", Until: until})
		if err != nil {
			t.Fatal(err)
		}
		f := n.load(t, ctx, open, "")
		binding, err := n.Bind(f, "")
		if err != nil {
			t.Fatal(err)
		}
		return f, binding
	}
	f, binding := begin(begun.Add(20 * time.Minute))
	endless, _ := begin(time.Time{})
	left(f, 15*time.Minute, true)
	h.Pass(t, 14*time.Minute)
	for _, f := range []*authn.Flow{f, endless} {
		if err := n.Prolong(f); err != nil {
			t.Fatal(err)
		}
	}
	left(endless, 15*time.Minute, true)
	left(f, 6*time.Minute, false)
	f = n.load(t, ctx, f.Sealed(), binding) // through another page, or node
	left(f, 6*time.Minute, false)
	h.Pass(t, 6*time.Minute+time.Second)
	if _, err := n.Load(ctx, f.Sealed(), binding); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("outlives what it is for: %v", err)
	}
	if e, err := n.Ended(ctx, f.Sealed(), binding); e != nil || err != nil {
		t.Errorf("leads to what has ended: %+v, %v", e, err)
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
	if !ticket.Begun.Equal(ticket.Begun.Truncate(time.Millisecond)) {
		t.Errorf("begun at %v, which is no time of the store", ticket.Begun)
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
		strings.Replace(query, "&flow_done", "xflow_done", 1),
	} {
		if _, ok := h.nodes[0].Finished(ctx, bad); ok {
			t.Errorf("%.60q holds a ticket", bad)
		}
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
