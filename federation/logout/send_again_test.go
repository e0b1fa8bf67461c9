package logout_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

func TestLogoutTokenIsSentAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	app := h.receiver("web", func(n int) int {
		return []int{http.StatusServiceUnavailable, http.StatusFound, http.StatusBadRequest, http.StatusNoContent}[min(n, 4)-1]
	})
	s := h.signIn()
	h.use(app.app, s)
	h.lead(0)
	h.end(s)
	for _, g := range app.wait(t, 4) {
		if g.JTI != app.received()[0].JTI {
			t.Errorf("another jti: %+v", g)
		}
	}
	if d := h.settled(app.app, logout.Done)[0]; d.Attempts != 4 || d.Status != "HTTP 204 No Content" {
		t.Errorf("delivery %+v", d)
	}
}

// TestLeaderDiesBetweenSendingAndNoting: the successor sends it again, under the same ID.
func TestLeaderDiesBetweenSendingAndNoting(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	app := h.receiver("web", nil)
	s := h.signIn()
	h.use(app.app, s)
	release := make(chan struct{})
	app.answer = func(n int) int {
		if n == 1 {
			h.SetLeader(false) // nothing can be noted any more
			close(release)
		}
		return http.StatusOK
	}
	stop := h.lead(0)
	h.end(s)
	<-release
	stop()
	h.NewTerm()
	h.SetLeader(true)
	if err := h.DB[1].Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := session.Get(tx, ten, s)
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.lead(1)
	got := app.wait(t, 2)
	if got[0] != got[1] {
		t.Errorf("first %+v, then %+v", got[0], got[1])
	}
	h.settled(app.app, logout.Done)
}

// TestDeposedSenderNotesNothing: its writes carry its term.
func TestDeposedSenderNotesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	app := h.receiver("web", func(n int) int {
		if n == 1 {
			h.NewTerm()
		}
		return http.StatusOK
	})
	s := h.signIn()
	h.use(app.app, s)
	stop := h.lead(0)
	h.end(s)
	app.wait(t, 1)
	stop()
	if d := h.settled(app.app, logout.Pending)[0]; d.Attempts != 0 {
		t.Errorf("a deposed leader wrote %+v", d)
	}
	h.lead(1)
	app.wait(t, 2)
	h.settled(app.app, logout.Done)
}

func TestDeadApplicationDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	var hung atomic.Int32
	h := newHouse(t, 1, func(c *logout.Config) {
		inner := c.Post
		c.Post = func(ctx context.Context, uri string, m fetch.Message) (fetch.Receipt, error) {
			if strings.Contains(uri, "dead") {
				hung.Add(1)
				select {
				case <-stuck:
				case <-ctx.Done():
				}
				return fetch.Receipt{}, context.DeadlineExceeded
			}
			return inner(ctx, uri, m)
		}
	})
	defer close(stuck)
	dead := h.register("dead", federation.LogoutSettings{BackchannelURI: "https://dead.example.com/"})
	alive := h.receiver("alive", nil)
	var sessions []string
	for range 20 {
		s := h.signIn()
		h.use(dead, s)
		h.use(alive.app, s)
		sessions = append(sessions, s)
	}
	h.lead(0)
	for _, s := range sessions {
		h.end(s)
	}
	alive.wait(t, 20)
	if n := hung.Load(); n > 4 {
		t.Errorf("%d attempts at once to one application", n)
	}
}

func TestGivesUpInTheEndAndIsRetriedOnDemand(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	h := newHouse(t, 1, func(c *logout.Config) {
		c.Pause = func(int) time.Duration { return 7 * time.Hour }
	})
	app := h.receiver("web", func(int) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	s := h.signIn()
	h.use(app.app, s)
	h.lead(0)
	h.end(s)
	d := h.settled(app.app, logout.Failed)[0]
	if n := h.events(event.LogoutUndelivered); n != 1 {
		t.Errorf("%d events that it was given up", n)
	}
	up.Store(true)
	h.update(0, func(tx *fsm.Tx) error {
		_, err := logout.Retry(tx, ten, app.app.ID, d.ID)
		return err
	})
	app.wait(t, 2)
	h.settled(app.app, logout.Done)
	if n := h.events(event.LogoutRetried); n != 1 {
		t.Errorf("%d events of the retry", n)
	}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		_, err := logout.Retry(tx, ten, "app_other", d.ID)
		return err
	})
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("retry by way of another application: %v", err)
	}
}

func (h *house) events(what event.Type) (n int) {
	h.t.Helper()
	err := h.DB[0].View(h.t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, ten, event.Query{Type: string(what)})
		n = len(page)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestApplicationThatIsGoneIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	app := h.receiver("web", func(int) int { return http.StatusInternalServerError })
	s := h.signIn()
	h.use(app.app, s)
	h.lead(0)
	h.end(s)
	app.wait(t, 2)
	h.update(0, func(tx *fsm.Tx) error { return federation.Delete(tx, ten, app.app.ID, 0) })
	h.settled(app.app, logout.Failed)
}
