package push_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	ten   = "ten_a"
	alice = "usr_alice"
)

// A house is some nodes with rooms, and a push service.
type house struct {
	*fsmtest.Cluster
	rooms    []*push.Room
	ring     *seal.Ring // of the first
	service  *pushtest.Service
	registry *prometheus.Registry // of the first room
	log      *lines
	older    atomic.Bool // a member knows one key only
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *lines) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

func newHouse(t *testing.T, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(push.Tables, seal.Tables)...), service: pushtest.NewService(t), registry: prometheus.NewRegistry(), log: &lines{}}
	root := seal.GenerateRootKey()
	h.update(t, 0, func(tx *fsm.Tx) error { return seal.Init(tx, root) })
	for i, db := range h.DB {
		ring, err := seal.OpenRing(t.Context(), db, root)
		if err != nil {
			t.Fatal(err)
		}
		c := push.Config{DB: db, Ring: ring, Contact: "https://id.example.com", Lifetime: 2 * time.Minute, Logger: slog.New(slog.NewTextHandler(h.log, nil)),
			Post: h.service.Post,
			Modern: func(context.Context) error {
				if h.older.Load() {
					return fsm.ErrUnavailable
				}
				return nil
			},
		}
		if i == 0 {
			c.Registerer, h.ring = h.registry, ring
		}
		r := push.New(c)
		h.rooms = append(h.rooms, r)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		t.Cleanup(func() { stop(); <-done })
	}
	return h
}

func (h *house) update(t *testing.T, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) key(t *testing.T, node int) []byte {
	t.Helper()
	key, err := h.rooms[node].Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// subscribe gives a session of alice's a browser.
func (h *house) subscribe(t *testing.T, session string, tag language.Tag) *pushtest.Browser {
	t.Helper()
	h.key(t, 0)
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	s := h.made(t, b, session, session)
	s.Language = tag
	h.update(t, 0, func(tx *fsm.Tx) error {
		s := s
		s.Expires = tx.Now().Add(time.Hour)
		return push.Subscribe(tx, s)
	})
	return b
}

// made is what a browser has subscribed with, at a path of the service, with the key of now.
func (h *house) made(t *testing.T, b *pushtest.Browser, session, path string) push.Subscription {
	t.Helper()
	s, err := push.Read(h.service.URL+"/"+path, b.P256DH(), b.Auth(), base64.RawURLEncoding.EncodeToString(h.key(t, 0)))
	if err != nil {
		t.Fatal(err)
	}
	s.Tenant, s.UserID, s.Session = ten, alice, session
	return s
}

func (h *house) sessions(t *testing.T, node int) (all []string) {
	t.Helper()
	err := h.DB[node].Read(t.Context(), func(tx *fsm.Tx) error {
		of, err := push.Of(tx, ten, alice)
		all = nil
		for _, s := range of {
			if s.Endpoint != "" {
				all = append(all, s.Session)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) arrived(t *testing.T) pushtest.Message {
	t.Helper()
	select {
	case m := <-h.service.Messages:
		if m.Err != nil {
			t.Fatalf("the service refuses a message: %v", m.Err)
		}
		return m
	case <-t.Context().Done():
		t.Fatal("nothing arrived")
		return pushtest.Message{}
	}
}

// until waits for what a room does by itself.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never happened")
		}
	}
}

// results is how often a message of the first room had a result.
func (h *house) results(t *testing.T, result string) float64 {
	t.Helper()
	all, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all[0].Metric {
		if m.Label[0].GetValue() == result {
			return m.Counter.GetValue()
		}
	}
	t.Fatalf("no result %s", result)
	return 0
}

func TestABrowserIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	laptop := h.subscribe(t, "ses_1", "de")
	h.subscribe(t, "ses_2", language.Source) // may not answer now
	before := h.Entries()
	h.rooms[1].Tell(ten, alice, []string{"ses_1", "ses_3"})
	m := h.arrived(t)
	if h.Entries() != before {
		t.Errorf("sending costs %d entries", h.Entries()-before)
	}
	if m.Path != "/ses_1" || !bytes.Equal(m.Key, h.key(t, 0)) {
		t.Errorf("%s, signed with %x", m.Path, m.Key)
	}
	ttl, err := strconv.Atoi(m.Header.Get("TTL"))
	if err != nil || ttl < 1 || ttl > 120 || m.Header.Get("Urgency") != "high" || m.Header.Get("Topic") == "" {
		t.Errorf("%v", m.Header)
	}
	plain, err := laptop.Read(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]string
	if err := json.Unmarshal(plain, &said); err != nil || len(said) != 3 || said["news"] != "approval" || said["title"] != "Jemand meldet sich als Sie an" || said["body"] == "" {
		t.Errorf("%s: %v", plain, err)
	}
	if other, err := pushtest.NewBrowser(); err != nil {
		t.Error(err)
	} else if _, err := other.Read(m.Body); err == nil {
		t.Error("another browser can read it")
	}
	if len(h.service.Messages) > 0 {
		t.Error("a browser is told that may not answer")
	}
}

// That somebody is getting back into an account is told to every browser of its person, for a day.
func TestEveryBrowserIsWarned(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	browsers := map[string]*pushtest.Browser{"/ses_1": h.subscribe(t, "ses_1", "de"), "/ses_2": h.subscribe(t, "ses_2", "fr")}
	h.rooms[1].Warn(ten, alice, "evt_1")
	h.rooms[1].Warn(ten, alice, "evt_1") // an event that is heard again
	for range 2 {
		m := h.arrived(t)
		ttl, err := strconv.Atoi(m.Header.Get("TTL"))
		if err != nil || ttl < 23*3600 || ttl > 24*3600 || m.Header.Get("Topic") != "recovery" {
			t.Errorf("%v", m.Header)
		}
		plain, err := browsers[m.Path].Read(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		var said map[string]string
		if err := json.Unmarshal(plain, &said); err != nil || said["news"] != "recovery" || said["title"] == "" {
			t.Errorf("%s: %v", plain, err)
		}
		delete(browsers, m.Path)
	}
	if len(browsers) > 0 {
		t.Errorf("not told: %v", browsers)
	}
	h.rooms[1].Tell(ten, alice, []string{"ses_1"}) // one person is told one thing after the other
	h.rooms[1].WarnOfPassword(ten, alice, "flw_1")
	for _, want := range []string{"approval", "password", "password"} {
		if m := h.arrived(t); m.Header.Get("Topic") != want {
			t.Errorf("told %s, want %s", m.Header.Get("Topic"), want)
		}
	}
}

// What is gone at the push service is given up; what has failed in another way stays.
func TestGoneSubscriptionsAreGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for session, status := range map[string]int{"ses_1": 404, "ses_2": 410, "ses_3": 500, "ses_4": 429, "ses_5": 302} {
		h.subscribe(t, session, language.Source)
		h.service.Answer("/"+session, status)
	}
	h.rooms[0].Tell(ten, alice, []string{"ses_1", "ses_2", "ses_3", "ses_4", "ses_5"})
	until(t, func() bool { return h.results(t, "gone") == 2 && h.results(t, "failed") == 3 })
	until(t, func() bool { return len(h.sessions(t, 1)) == 3 })
	if got := h.sessions(t, 1); !slices.Equal(got, []string{"ses_3", "ses_4", "ses_5"}) {
		t.Errorf("left: %v", got)
	}
	h.rooms[0].Tell(ten, alice, []string{"ses_1", "ses_2"}) // to nobody
	h.update(t, 0, func(tx *fsm.Tx) error { return push.Forget(tx, ten, alice, "ses_1") })
	for session, want := range map[string]bool{"ses_1": false, "ses_2": true, "ses_3": true} {
		if mark, told := h.mark(t, session); told != want || (mark != "") != (session == "ses_3") {
			t.Errorf("%s: mark %q, to be told: %v", session, mark, told)
		}
	}
	if h.results(t, "gone") != 2 {
		t.Error("what is gone is sent to")
	}
	if said := h.log.said(); strings.Contains(said, "/ses_") || !strings.Contains(said, "status=500") {
		t.Errorf("the log tells an address, or nothing: %s", said)
	}
}

// All nodes that are asked at once have one key.
func TestOneKeyForTheCluster(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	before := h.Entries()
	h.raced(t)
	after := h.Entries()
	h.key(t, 2)
	if h.Entries() != after || after == before {
		t.Errorf("%d entries, then %d", after-before, h.Entries()-after)
	}
}

func TestSubscribing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.key(t, 0)
	cost := func(what string, want uint64, do func()) {
		t.Helper()
		before := h.Entries()
		do()
		if got := uint64(h.Entries() - before); got != want {
			t.Errorf("%s costs %d entries, want %d", what, got, want)
		}
	}
	cost("subscribing", 1, func() { h.subscribe(t, "ses_1", language.Source) })
	h.subscribe(t, "ses_1", language.Source) // anew
	if got := h.sessions(t, 1); len(got) != 1 {
		t.Errorf("%v", got)
	}
	for i := range 6 {
		h.Advance(time.Second)
		h.subscribe(t, fmt.Sprint("ses_more", i), language.Source)
	}
	if got := h.sessions(t, 1); len(got) != 5 || slices.Contains(got, "ses_1") || slices.Contains(got, "ses_more0") {
		t.Errorf("the oldest stay: %v", got)
	}
	cost("unsubscribing", 1, func() {
		h.update(t, 1, func(tx *fsm.Tx) error { return push.Forget(tx, ten, alice, "ses_more1") })
	})
	cost("unsubscribing what is none", 0, func() {
		h.update(t, 1, func(tx *fsm.Tx) error { return push.Forget(tx, ten, alice, "ses_more1") })
	})
	h.update(t, 1, func(tx *fsm.Tx) error {
		return errors.Join(push.Prolong(tx, ten, alice, "ses_more1", tx.Now()), push.Prolong(tx, ten, alice, "ses_more5", tx.Now().Add(3*time.Hour)))
	})
	h.Advance(2 * time.Hour) // longer than the others last
	h.update(t, 0, func(tx *fsm.Tx) error { return push.Forget(tx, ten, alice, "ses_more2") })
	if _, err := h.DB[0].Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.sessions(t, 1); !slices.Equal(got, []string{"ses_more5"}) {
		t.Errorf("%v", got)
	}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		return push.Subscribe(tx, push.Subscription{Tenant: ten, UserID: alice, Endpoint: "https://push.example.com/x"})
	})
	if !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("bound to no session: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	const good = "https://push.example.com/x"
	if _, err := push.Read(good, b.P256DH()+"=", b.Auth()+"==", ""); err != nil {
		t.Errorf("with padding: %v", err)
	}
	point := base64.RawURLEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...))
	if _, err := push.Read(good, b.P256DH(), b.Auth(), b.Auth()); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a key that is none: %v", err)
	}
	for _, bad := range [][3]string{
		{"", b.P256DH(), b.Auth()}, {"http://push.example.com/x", b.P256DH(), b.Auth()}, {"https:///x", b.P256DH(), b.Auth()},
		{"javascript:alert(1)", b.P256DH(), b.Auth()}, {good + strings.Repeat("x", 1000), b.P256DH(), b.Auth()},
		{good, "", b.Auth()}, {good, "!", b.Auth()}, {good, point, b.Auth()}, {good, b.P256DH()[:80], b.Auth()},
		{good, b.P256DH(), ""}, {good, b.P256DH(), b.Auth()[:20]}, {good, b.P256DH(), b.P256DH()},
	} {
		if _, err := push.Read(bad[0], bad[1], bad[2], b.P256DH()); !errors.Is(err, identity.ErrInvalid) || strings.Contains(err.Error(), b.Auth()) {
			t.Errorf("%.80v: %v", bad, err)
		}
	}
}
