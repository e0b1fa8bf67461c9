package logout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

func TestApplicationsOfTheSessionAreTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	told, other := h.receiver("told", nil), h.receiver("other", nil)
	silent := h.register("silent", federation.LogoutSettings{})
	mine, another := h.signIn(), h.signIn()
	for range 3 { // several families, one token
		h.use(told.app, mine)
	}
	h.use(silent, mine)
	h.use(other.app, another)
	h.lead(0)
	before := h.Entries()
	h.end(mine)
	got := told.wait(t, 1)
	d := h.settled(told.app, logout.Done)[0]
	if diff := cmp.Diff([]said{{told.app.ID, h.user.ID, mine, d.ID}}, got); diff != "" {
		t.Error(diff)
	}
	if d.Status != "HTTP 200 OK" || d.Attempts != 1 || d.Attempted == 0 || d.Next != 0 {
		t.Errorf("delivery %+v", d)
	}
	if n := len(other.received()); n != 0 {
		t.Errorf("an application of another session was told %d times", n)
	}
	h.settled(silent)
	if n := h.Entries() - before; n > 5 { // the end, the delivery, its outcome, and the cursor once or twice
		t.Errorf("%d log entries for one sign-out", n)
	}
}

func TestASessionNobodyUsedCostsNoDelivery(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	app := h.receiver("web", nil)
	h.lead(0)
	h.end(h.signIn())
	s := h.signIn()
	h.use(app.app, s)
	h.end(s)
	app.wait(t, 1) // the first was heard before it
	h.settled(app.app, logout.Done)
}

func TestEveryWayOfSigningOutIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(tx *fsm.Tx, user, session string) error
		want int
	}{
		"signed out":          {func(tx *fsm.Tx, _, s string) error { return session.End(tx, ten, s) }, 1},
		"all sessions ended":  {func(tx *fsm.Tx, u, _ string) error { _, err := session.EndAllOf(tx, ten, u); return err }, 1},
		"all tokens revoked":  {func(tx *fsm.Tx, u, _ string) error { return family.RevokeAll(tx, ten, u, "user disabled") }, 1},
		"user deleted":        {func(tx *fsm.Tx, u, _ string) error { return directory.DeleteUser(tx, ten, u, 0) }, 1},
		"user deleted fully":  {deleted, 2}, // once for the user, once for the session
		"keys were revoked":   {func(tx *fsm.Tx, _, _ string) error { return family.RevokeAll(tx, ten, "", "emergency rotation") }, 0},
		"one family revoked":  {func(tx *fsm.Tx, u, _ string) error { _, err := family.RevokeHeldBy(tx, ten, u, "x", "x"); return err }, 0},
		"somebody else signs": {func(tx *fsm.Tx, _, _ string) error { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1)
			app := h.receiver("web", nil)
			s := h.signIn()
			h.use(app.app, s, "offline_access")
			last := h.signIn()
			sentinel := h.receiver("sentinel", nil)
			h.use(sentinel.app, last)
			h.lead(0)
			h.update(0, func(tx *fsm.Tx) error { return c.do(tx, h.user.ID, s) })
			h.end(last)
			sentinel.wait(t, 1) // everything before it was heard
			got := app.wait(t, c.want)
			if len(got) != c.want {
				t.Errorf("told %d times: %+v", len(got), got)
			}
		})
	}
}

func deleted(tx *fsm.Tx, user, sessionID string) error {
	return errors.Join(directory.DeleteUser(tx, ten, user, 0), session.End(tx, ten, sessionID))
}

func TestOfflineTokensOutliveALogout(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	app := h.receiver("web", nil)
	s := h.signIn()
	h.use(app.app, s, "offline_access")
	h.use(app.app, s)
	h.lead(0)
	h.end(s)
	app.wait(t, 1) // it is told all the same
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		for f, err := range family.Of(tx, ten, h.user.ID) {
			if err != nil {
				return err
			}
			if _, err := h.nodes[0].families.Live(tx, f); (err == nil) != f.Offline {
				t.Errorf("offline %v: %v", f.Offline, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUserWideLogoutNamesSessionsWhereRequired(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	wide, exact := h.receiver("wide", nil), h.receiver("exact", nil)
	h.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, ten, exact.app.ID, 0, func(a *federation.Application) error {
			a.Logout.BackchannelSession = true
			return nil
		})
		return err
	})
	one, two := h.signIn(), h.signIn()
	for _, s := range []string{one, two} {
		h.use(wide.app, s)
		h.use(exact.app, s)
	}
	h.lead(0)
	h.update(0, func(tx *fsm.Tx) error { return family.RevokeAll(tx, ten, h.user.ID, "disabled") })
	if got := wide.wait(t, 1); got[0].Session != "" {
		t.Errorf("session %q in a token for all sessions", got[0].Session)
	}
	got := exact.wait(t, 2)
	if s := []string{got[0].Session, got[1].Session}; !cmp.Equal(s, []string{one, two}) && !cmp.Equal(s, []string{two, one}) {
		t.Errorf("sessions %v, want %s and %s", s, one, two)
	}
}

// TestHearingAnEventTwiceWritesNothingNew: the reader's cursor is behind what it did.
func TestHearingAnEventTwiceWritesNothingNew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	app := h.receiver("web", nil)
	s := h.signIn()
	h.use(app.app, s)
	h.lead(0)
	h.end(s)
	h.settled(app.app, logout.Done)
	before, enough := h.Entries(), errors.New("enough")
	err := event.Follow(t.Context(), h.DB[0], "again", func(ctx context.Context, e *fsm.JournalEntry[event.Event]) error {
		if err := logout.Hear(h.nodes[0].room, ctx, e); err != nil {
			return err
		}
		if e.Value.Type == event.SessionEnded {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if n := h.Entries() - before; n > 1 { // the other cursor
		t.Errorf("hearing again cost %d log entries", n)
	}
	if got := app.received(); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestFramesAreThoseOfTheSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	s, other := h.signIn(), h.signIn()
	for name, uri := range map[string]string{"a": "https://a.example.com/out?x=1", "b": "https://b.example.com/out", "c": ""} {
		h.use(h.register(name, federation.LogoutSettings{FrontchannelURI: uri}), s)
	}
	h.use(h.register("d", federation.LogoutSettings{FrontchannelURI: "https://d.example.com/"}), other)
	var got []string
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) (err error) {
		got, err = logout.Frames(tx, ten, "https://id.example.com", h.user.ID, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	q := "iss=https%3A%2F%2Fid.example.com&sid=" + s
	if diff := cmp.Diff([]string{"https://a.example.com/out?x=1&" + q, "https://b.example.com/out?" + q}, got); diff != "" {
		t.Error(diff)
	}
}

// TestApplicationIsToldLongAfterItsTokens: one without refresh tokens is known to have
// been signed in to as long as the session lasts.
func TestApplicationIsToldLongAfterItsTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	app := h.receiver("web", nil)
	h.update(0, func(tx *fsm.Tx) (err error) {
		app.app, err = federation.Update(tx, ten, app.app.ID, 0, func(a *federation.Application) error {
			a.GrantTypes, a.TokenExpiry = []string{federation.GrantCode}, 60
			return nil
		})
		return err
	})
	s := h.signIn()
	h.use(app.app, s)
	h.Advance(8 * time.Hour)
	if _, err := h.DB[0].Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.lead(0)
	h.end(s)
	app.wait(t, 1)
}

// TestRefusesSSRFByBackchannelURI: an address that may not be dialled is not, and the row says why.
func TestRefusesSSRFByBackchannelURI(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(c *logout.Config) { c.Post = fetch.New(fetch.Config{}).Post })
	app := h.receiver("web", nil) // on loopback
	meta := h.register("meta", federation.LogoutSettings{BackchannelURI: "https://169.254.169.254/latest/meta-data"})
	s := h.signIn()
	h.use(app.app, s)
	h.use(meta, s)
	h.lead(0)
	h.end(s)
	for _, a := range []*federation.Application{app.app, meta} {
		d := h.settled(a, logout.Pending)[0]
		for d.Attempts == 0 {
			changed := h.DB[0].Changed()
			if d = h.settled(a, logout.Pending)[0]; d.Attempts == 0 {
				<-changed
			}
		}
		if d.Status == "" || strings.HasPrefix(d.Status, "HTTP") {
			t.Errorf("status %q", d.Status)
		}
	}
	if got := app.received(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}
