package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

func TestFindOnAnyNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, session.Config{})
	s, cookie := h.start(t, 0, h.user.ID)
	for node := range 3 {
		got := h.find(t, node, cookie, nil)
		if got == nil || got.ID != s.ID || got.UserID != h.user.ID || !got.Expires.Equal(s.AuthTime.Add(12*time.Hour)) {
			t.Errorf("node %d: got %+v", node, got)
		}
	}
	if _, err := h.stores[0].Find(t.Context(), "ten_other", cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("in another tenant: got %v", err)
	}
}

func TestFindWaitsForANodeThatLags(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	h.Pause(1)
	_, cookie := h.start(t, 0, h.user.ID)
	found := make(chan error)
	go func() {
		_, err := h.stores[1].Find(t.Context(), ten, cookie)
		found <- err
	}()
	select {
	case err := <-found:
		t.Fatalf("answered before it could know: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	h.Resume(t, 1)
	if err := <-found; err != nil {
		t.Error(err)
	}
}

// A stranger cannot make a node wait: what we have not made is refused at once.
func TestForgedCookiesCostNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	_, cookie := h.start(t, 0, h.user.ID)
	raw, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 0x40 // among others the index: far in the future
		_, err := h.stores[0].Find(ctx, ten, base64.RawURLEncoding.EncodeToString(bad))
		if !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("byte %d changed: got %v", i, err)
		}
	}
	for _, bad := range []string{"", "x", cookie + "A", cookie[:len(cookie)-1], strings.Repeat("A", len(cookie)), cookie[:len(cookie)-1] + "!"} {
		h.find(t, 0, bad, identity.ErrUnauthenticated)
	}
	if d := time.Since(begun); d > 2*time.Second { // the wait for one row
		t.Errorf("%v for nothing", d)
	}
}

func TestAbsoluteAndIdleLifetime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{Flush: time.Minute})
	h.decide(t, 0, func(s *settings.Session) { s.Idle, s.Absolute = 60, 180 })
	_, cookie := h.start(t, 0, h.user.ID)
	h.Pass(t, 58*time.Minute)
	h.find(t, 0, cookie, nil)
	h.Pass(t, 58*time.Minute) // since it was seen, by the time of the state
	h.find(t, 0, cookie, nil)
	h.Pass(t, 62*time.Minute)
	h.find(t, 0, cookie, identity.ErrUnauthenticated)

	h = newHouse(t, 1, session.Config{})
	h.decide(t, 0, func(s *settings.Session) { s.Idle, s.Absolute = 180, 180 })
	_, cookie = h.start(t, 0, h.user.ID)
	h.Pass(t, 179*time.Minute)
	h.find(t, 0, cookie, nil)
	h.Pass(t, 2*time.Minute)
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
}

func TestEndedEverywhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	s, one := h.start(t, 0, h.user.ID)
	_, two := h.start(t, 1, h.user.ID)
	_, other := h.start(t, 1, h.newUser(t, "bob").ID)
	before := h.Entries()
	h.update(t, 1, func(tx *fsm.Tx) error { return session.End(tx, ten, s.ID) })
	h.update(t, 1, func(tx *fsm.Tx) error { return session.End(tx, ten, s.ID) })
	if got := h.Entries() - before; got != 1 {
		t.Errorf("ending twice took %d entries, want 1", got)
	}
	h.find(t, 0, one, identity.ErrUnauthenticated)
	h.find(t, 0, two, nil)
	h.update(t, 0, func(tx *fsm.Tx) error {
		n, err := session.EndAllOf(tx, ten, h.user.ID)
		if n != 1 {
			t.Errorf("%d ended, want 1", n)
		}
		return err
	})
	h.find(t, 1, two, identity.ErrUnauthenticated)
	h.find(t, 1, other, nil)
}

func TestNoSessionWithoutAnEnabledUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	_, cookie := h.start(t, 0, h.user.ID)
	disable := func(yes bool) {
		h.update(t, 0, func(tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, h.user.ID, 0, func(u *directory.User) error { u.Disabled = yes; return nil })
			return err
		})
	}
	disable(true)
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
	disable(false)
	h.find(t, 0, cookie, nil)
	h.update(t, 0, func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, h.user.ID, 0) })
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
}

func TestFailsClosedWhenStale(t *testing.T) {
	t.Parallel()
	stale := fmt.Errorf("stale: %w", fsm.ErrUnavailable)
	h := newHouse(t, 1, session.Config{Fresh: func(context.Context) error { return stale }})
	_, cookie := h.start(t, 0, h.user.ID)
	h.find(t, 0, cookie, fsm.ErrUnavailable)
	h.find(t, 0, "garbage", identity.ErrUnauthenticated) // needs no fresh state
	if _, err := h.stores[0].Find(t.Context(), "ten_other", cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("another tenant's: got %v, want ErrUnauthenticated", err)
	}
}

// The order matters: what is read after Fresh is as new as Fresh promised.
func TestFreshComesBeforeTheRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, session.Config{})
	s, cookie := h.start(t, 0, h.user.ID)
	h.find(t, 1, cookie, nil)
	h.Pause(1)
	h.update(t, 0, func(tx *fsm.Tx) error { return session.End(tx, ten, s.ID) })
	h.find(t, 1, cookie, nil) // stale: why there is a Fresh
	fresh := session.NewStore(session.Config{DB: h.DB[1], Ring: h.rings[1], Fresh: func(ctx context.Context) error {
		h.Resume(t, 1)
		return nil
	}})
	if _, err := fresh.Find(t.Context(), ten, cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("got %v", err)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	s, old := h.start(t, 0, h.user.ID)
	h.Pass(t, time.Hour)
	renew := func(user string) (session.Session, string) {
		var r *session.Started
		h.update(t, 0, func(tx *fsm.Tx) (err error) {
			r, err = h.stores[0].Renew(tx, s.ID, session.Session{Tenant: ten, UserID: user})
			return err
		})
		c, err := h.stores[0].Cookie(r)
		if err != nil {
			t.Fatal(err)
		}
		return r.Session, c
	}
	again, cookie := renew(h.user.ID)
	if again.ID != s.ID || !again.AuthTime.After(s.AuthTime) || !again.Created.Equal(s.Created) {
		t.Errorf("got %+v, had %+v", again, s)
	}
	h.find(t, 0, old, identity.ErrUnauthenticated)
	h.find(t, 0, cookie, nil)
	bob := h.newUser(t, "bob")
	theirs, newCookie := renew(bob.ID)
	if theirs.ID == s.ID {
		t.Error("bob got ann's session")
	}
	h.find(t, 0, cookie, identity.ErrUnauthenticated)
	h.find(t, 0, newCookie, nil)
	afterGone, _ := renew(bob.ID)
	if afterGone.ID == s.ID {
		t.Error("a session came back")
	}
}

func TestCookieFromALifeBeforeTheRestore(t *testing.T) {
	t.Parallel()
	// The wait of two seconds is real here: the store knows nothing of a fake clock.
	h := newHouse(t, 1, session.Config{})
	for range 5 {
		h.Pass(t, 0)
	}
	_, cookie := h.start(t, 0, h.user.ID)
	back := newHouse(t, 1, session.Config{})
	if back.DB[0].Position().Index >= h.DB[0].Position().Index {
		t.Fatal("the other store is not younger")
	}
	old := session.NewStore(session.Config{DB: back.DB[0], Ring: h.rings[0]})
	if _, err := old.Find(t.Context(), ten, cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("got %v, want ErrUnauthenticated", err)
	}
	back.SetLeader(false)
	if _, err := old.Find(t.Context(), ten, cookie); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("without a leader: got %v, want ErrUnavailable", err)
	}
}

func TestListAllPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	var want []string
	for range 5 {
		s, _ := h.start(t, 0, h.user.ID)
		want = append([]string{s.ID}, want...)
	}
	var got []string
	for after := ""; ; {
		err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			page, next, err := h.stores[0].ListAll(tx, ten, after, 2)
			for _, s := range page {
				got = append(got, s.ID)
			}
			after = next
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if after == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestExcess(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	first, _ := h.start(t, 0, h.user.ID)
	second, _ := h.start(t, 0, h.user.ID)
	h.start(t, 0, h.user.ID)
	for keep, want := range [][]string{1: {first.ID, second.ID}, 2: {first.ID}, 3: nil, 4: nil} {
		if keep == 0 {
			continue
		}
		err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			ids, err := session.Excess(tx, ten, h.user.ID, keep)
			if !slices.Equal(ids, want) {
				t.Errorf("keeping %d: got %v, want %v", keep, ids, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Sessions that have expired and await their purge are none: they neither stand in for those that
// must give way, nor have others give way that need not.
func TestExcessCountsWhatStands(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	for range 12 {
		h.start(t, 0, h.user.ID)
	}
	h.Pass(t, 13*time.Hour) // nothing purges
	var want []string
	for range 4 {
		s, _ := h.start(t, 0, h.user.ID)
		want = append(want, s.ID)
	}
	for keep := range 17 {
		err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			ids, err := session.Excess(tx, ten, h.user.ID, keep)
			if !slices.Equal(ids, want[:max(4-keep, 0)]) {
				t.Errorf("keeping %d: got %v of %v", keep, ids, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsOfASession(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, session.Config{})
	s, cookie := h.start(t, 0, h.user.ID)
	h.update(t, 0, func(tx *fsm.Tx) error { return session.End(tx, ten, s.ID) })
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, ten, event.Query{Type: "session."})
		if len(page) != 2 || page[0].Type != event.SessionEnded || page[1].Actor.ID != h.user.ID {
			t.Errorf("got %+v", page)
		}
		if strings.Contains(fmt.Sprint(page), cookie) {
			t.Error("the cookie is in an event")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzCookie(f *testing.F) {
	h := newHouse(f, 1, session.Config{})
	_, cookie := h.start(f, 0, h.user.ID)
	f.Add(cookie)
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		_, err := h.stores[0].Find(context.Background(), ten, value)
		if err == nil && value != cookie || err != nil && !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%q: %v", value, err)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	h := newHouse(b, 1, session.Config{})
	_, cookie := h.start(b, 0, h.user.ID)
	for b.Loop() {
		if _, err := h.stores[0].Find(b.Context(), ten, cookie); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExcess is what a sign-in costs in this respect, of somebody who has as many sessions as may be.
func BenchmarkExcess(b *testing.B) {
	for name, n := range map[string]int{"few": 3, "full": 100} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, 1, session.Config{})
			for range n {
				h.start(b, 0, h.user.ID)
			}
			for b.Loop() {
				err := h.DB[0].View(b.Context(), func(tx *fsm.Tx) error {
					_, err := session.Excess(tx, ten, h.user.ID, session.MaxPerUser-1)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
