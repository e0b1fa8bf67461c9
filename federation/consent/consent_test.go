package consent_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	tenant = identity.DefaultTenant
	orders = "https://orders.example.com"
	back   = "/oauth2/authorize?client_id=app&state=1"
)

// house is three nodes, a person with a session, and an application that is not ours.
type house struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	desks   []*consent.Desk
	app     *federation.Application
	user    string
	session string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, cluster: fsmtest.NewCluster(t, 3, slices.Concat(
		seal.Tables, event.Tables, directory.Tables, session.Tables, federation.Tables, resource.Tables, family.Tables, consent.Tables)...)}
	root := seal.GenerateRootKey()
	h.update(func(tx *fsm.Tx) error { return errors.Join(seal.Init(tx, root), directory.EnsureDefault(tx)) })
	var first *seal.Ring
	for _, db := range h.cluster.DB {
		ring, err := seal.OpenRing(t.Context(), db, root)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = ring
		}
		h.desks = append(h.desks, consent.NewDesk(db, ring))
	}
	h.app = &federation.Application{
		Tenant: tenant, Name: "Foreign", RedirectURIs: []string{"https://app.example.com/cb"}, Consent: federation.ConsentExplicit,
		AllowedScopes: []string{"openid", "profile", "email", "orders"},
	}
	sessions := session.NewStore(session.Config{DB: h.cluster.DB[0], Ring: first})
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, tenant, directory.User{Username: "ada"})
		if err != nil {
			return err
		}
		h.user = u.ID
		started, err := sessions.Start(tx, session.Session{Tenant: tenant, UserID: u.ID})
		if err != nil {
			return err
		}
		h.session = started.Session.ID
		_, err = federation.Create(tx, first, h.app, "")
		return err
	})
	return h
}

func (h *house) ctx() context.Context {
	return identity.WithTenant(h.t.Context(), identity.Tenant{ID: tenant, Issuer: "https://id.example.com"})
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.cluster.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) decide(a consent.Asked) (d consent.Decision) {
	h.t.Helper()
	err := h.cluster.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		d, err = consent.Decide(tx, h.app, h.user, a)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// ask puts a question on node 0.
func (h *house) ask(scopes ...string) string {
	h.t.Helper()
	d := h.decide(consent.Asked{Scopes: scopes, Again: true})
	q, err := h.desks[0].Ask(h.ctx(), d, consent.Question{
		UserID: h.user, SessionID: h.session, Application: h.app.ID, ReturnTo: back, Family: family.NewID(), Scopes: scopes,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return q.Sealed()
}

func (h *house) allow(node int, text string, chosen ...string) (string, error) {
	h.t.Helper()
	q, err := h.desks[node].Open(h.ctx(), text, h.user, h.session)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.desks[node].Allow(h.ctx(), q, chosen)
}

func (h *house) mustAllow(scopes ...string) {
	h.t.Helper()
	if _, err := h.allow(0, h.ask(scopes...), scopes...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) stored() (c *consent.Consent) {
	h.t.Helper()
	err := h.cluster.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		c, err = consent.Get(tx, tenant, h.user, h.app.ID)
		return err
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		h.t.Fatal(err)
	}
	return c
}

func TestAskedOnceAndRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if !h.decide(consent.Asked{Scopes: []string{"openid", "email"}}).Ask {
		t.Fatal("nobody is asked")
	}
	var text string
	if n := h.entries(func() { text = h.ask("openid", "profile", "email") }); n != 0 {
		t.Errorf("asking cost %d log entries", n)
	}
	var to string
	if n := h.entries(func() {
		var err error
		if to, err = h.allow(1, text, "email"); err != nil {
			t.Fatal(err)
		}
	}); n != 1 {
		t.Errorf("allowing cost %d log entries, want 1", n)
	}
	before, ticket := h.finished(2, to)
	if ticket == nil || "/oauth2/authorize?"+before != back || ticket.SessionID != h.session || ticket.Denied {
		t.Fatalf("led to %s with %+v", to, ticket)
	}
	if d := cmp.Diff([]string{"openid", "email"}, ticket.Scopes); d != "" {
		t.Error(d)
	}
	d := h.decide(consent.Asked{Scopes: []string{"openid", "profile", "email"}})
	if d.Ask || !slices.Equal(d.Scopes, []string{"openid", "email"}) {
		t.Errorf("afterwards: %+v", d)
	}
	if !h.decide(consent.Asked{Scopes: []string{"openid", "orders"}}).Ask {
		t.Error("more is given without asking")
	}
	if !h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true}).Ask {
		t.Error("prompt=consent does not ask")
	}
	if h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true, Confirmed: true, Allowed: []string{"openid"}}).Ask {
		t.Error("prompt=consent does not end")
	}
	if !h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true, Confirmed: true, Allowed: []string{"orders"}}).Ask {
		t.Error("an answer that is not remembered counts")
	}
	h.later(consent.Life + time.Hour)
	if !h.decide(consent.Asked{Scopes: []string{"openid"}}).Ask {
		t.Error("it holds for ever")
	}
}

// later lets time pass, of which nodes learn by the next entry.
func (h *house) later(d time.Duration) {
	h.t.Helper()
	h.cluster.Advance(d)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Tenant: tenant, Type: event.UserUpdated}) })
}

func (h *house) entries(f func()) int {
	before := h.cluster.Entries()
	f()
	return h.cluster.Entries() - before
}

func (h *house) finished(node int, to string) (string, *consent.Ticket) {
	_, query, _ := strings.Cut(to, "?")
	return h.desks[node].Finished(h.ctx(), query)
}

func TestModes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAllow("openid")
	for mode, want := range map[string][3]bool{ // what was allowed, prompt=consent, more
		"": {false, true, false}, federation.ConsentImplicit: {false, true, false},
		federation.ConsentExplicit: {false, true, true}, federation.ConsentAlways: {true, true, true},
	} {
		h.app.Consent = mode
		got := [3]bool{
			h.decide(consent.Asked{Scopes: []string{"openid"}}).Ask,
			h.decide(consent.Asked{Scopes: []string{"openid"}, Again: true}).Ask,
			h.decide(consent.Asked{Scopes: []string{"openid", "orders"}}).Ask,
		}
		if got != want {
			t.Errorf("%q: asks %v, want %v", mode, got, want)
		}
	}
	h.app.Consent = federation.ConsentExplicit
	if h.decide(consent.Asked{}).Ask {
		t.Error("asks for nothing, and was let in before")
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	if !h.decide(consent.Asked{}).Ask {
		t.Error("asks for nothing and is let in unasked")
	}
}

func TestWhatIsFreeIsNotAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := resource.Texts{"en": "Do it"}
	payments := []resource.DetailType{{Name: "pay", Texts: text}, {Name: "look", Texts: text, Remembered: true}}
	var free, asked *resource.Server
	h.update(func(tx *fsm.Tx) (err error) {
		if free, err = resource.CreateServer(tx, resource.Server{Tenant: tenant, Identifier: "urn:free", Name: "Free", OpenToAll: true, SkipConsent: true}); err != nil {
			return err
		}
		if asked, err = resource.CreateServer(tx, resource.Server{Tenant: tenant, Identifier: orders, Name: "Orders", OpenToAll: true, Details: payments}); err != nil {
			return err
		}
		for _, s := range []resource.Scope{
			{Name: "implied", Implied: true, Optional: true}, {Name: "free", Texts: text, Resource: free.ID}, {Name: "paid", Texts: text, Resource: asked.ID},
		} {
			s.Tenant = tenant
			if _, err := resource.CreateScope(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	aim := func(s *resource.Server) *resource.Target {
		return &resource.Target{Audience: []string{s.Identifier}, Servers: []resource.Server{*s}}
	}
	detail := func(name string) []resource.Detail {
		d, err := resource.ReadDetails(`[{"type":"` + name + `"}]`)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	h.mustAllow("openid", "implied")
	if c := h.stored(); !slices.Contains(c.Scopes, "implied") {
		t.Errorf("an implied scope was left out: %+v", c)
	}
	for _, c := range []struct {
		asked consent.Asked
		want  bool
	}{
		{consent.Asked{Scopes: []string{"openid", "implied"}}, false},
		{consent.Asked{Scopes: []string{"openid", "free"}, Target: aim(free)}, false},
		{consent.Asked{Scopes: []string{"openid"}, Target: aim(asked)}, true},
		{consent.Asked{Scopes: []string{"openid", "paid"}}, true},
		{consent.Asked{Scopes: []string{"openid"}, Details: detail("look")}, true},
		{consent.Asked{Scopes: []string{"openid"}, Claims: []string{"sub"}}, false},
		{consent.Asked{Scopes: []string{"openid"}, Claims: []string{"email"}}, true},
	} {
		if got := h.decide(c.asked).Ask; got != c.want {
			t.Errorf("%+v: %t", c.asked, got)
		}
	}
	for name, again := range map[string]bool{"look": false, "pay": true} {
		q, err := h.desks[0].Ask(h.ctx(), h.decide(consent.Asked{Details: detail(name)}), consent.Question{
			UserID: h.user, SessionID: h.session, Application: h.app.ID, ReturnTo: back, Details: resource.Spell(detail(name)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.allow(0, q.Sealed()); err != nil {
			t.Fatal(err)
		}
		if got := h.decide(consent.Asked{Details: detail(name)}).Ask; got != again {
			t.Errorf("%s once allowed: asks again %t", name, got)
		}
	}
}

func TestDenyingCostsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	text := h.ask("openid")
	if n := h.entries(func() {
		q, err := h.desks[1].Open(h.ctx(), text, h.user, h.session)
		if err != nil {
			t.Fatal(err)
		}
		to, err := h.desks[1].Deny(q)
		if _, ticket := h.finished(2, to); err != nil || ticket == nil || !ticket.Denied || len(ticket.Scopes) > 0 {
			t.Errorf("%s: %+v %v", to, ticket, err)
		}
	}); n != 0 {
		t.Errorf("denying cost %d log entries", n)
	}
}

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

func (h *house) index() (i uint64) {
	h.update(func(tx *fsm.Tx) error { i = tx.Index(); return nil })
	return i
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

func TestLists(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAllow("openid")
	list := func() (of, to int) {
		h.update(func(tx *fsm.Tx) error {
			of = 0
			for _, err := range consent.ListOf(tx, tenant, h.user) {
				if err != nil {
					return err
				}
				of++
			}
			page, _, err := consent.ListTo(tx, tenant, h.app.ID, "", 10)
			to = len(page)
			return err
		})
		return of, to
	}
	if of, to := list(); of != 1 || to != 1 {
		t.Errorf("lists %d and %d", of, to)
	}
	h.update(func(tx *fsm.Tx) error { return consent.Revoke(tx, tenant, h.user, h.app.ID, "test") })
	if of, to := list(); of != 0 || to != 0 {
		t.Errorf("revoked: lists %d and %d", of, to)
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

// FuzzFinished: no query that we did not seal has a ticket, and what is before it stays as it is.
func FuzzFinished(f *testing.F) {
	f.Add("client_id=a&consent_done=AAAA")
	f.Add("&consent_done=")
	db := fsmtest.New(f, slices.Concat(seal.Tables, event.Tables)...)
	root := seal.GenerateRootKey()
	if err := db.Update(f.Context(), func(tx *fsm.Tx) error { return seal.Init(tx, root) }); err != nil {
		f.Fatal(err)
	}
	ring, err := seal.OpenRing(f.Context(), db, root)
	if err != nil {
		f.Fatal(err)
	}
	desk := consent.NewDesk(db, ring)
	ctx := identity.WithTenant(context.Background(), identity.Tenant{ID: tenant})
	f.Fuzz(func(t *testing.T, query string) {
		before, ticket := desk.Finished(ctx, query)
		if ticket != nil || !strings.HasPrefix(query, before) {
			t.Fatalf("%q: %q %+v", query, before, ticket)
		}
		if _, err := desk.Open(ctx, query, "", ""); err == nil {
			t.Fatalf("%q opens", query)
		}
		_, _ = url.ParseQuery(before)
	})
}
