package ciba_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
)

// client is the other end of pings.
type client struct {
	mu     sync.Mutex
	answer func() (int, error)
	bodies []string
	bearer string
	url    string
}

func (c *client) post(_ context.Context, url string, m fetch.Message) (fetch.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies, c.bearer, c.url = append(c.bodies, string(m.Body)), m.Bearer, url
	status, err := c.answer()
	return fetch.Receipt{Status: status}, err
}

func (h *house) pinger(c *client, log *bytes.Buffer) *ciba.Pinger {
	return &ciba.Pinger{DB: h.DB[0], Ring: h.ring, Post: c.post, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

func TestPingComesWithTheDecisionAndTheRightSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	var log bytes.Buffer
	c := &client{answer: func() (int, error) { return 204, nil }}
	p := h.pinger(c, &log)
	r := h.start(t)
	if err := p.Run(t.Context()); err != nil || len(c.bodies) != 0 {
		t.Fatalf("pinged before the decision: %q, %v", c.bodies, err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, h.ada) })
	for range 3 {
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.bodies) != 1 || c.bearer != token || c.url != endpoint {
		t.Fatalf("pinged %d times, with %q at %q", len(c.bodies), c.bearer, c.url)
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(c.bodies[0]), &body); err != nil || len(body) != 1 {
		t.Fatalf("%s: %v", c.bodies[0], err)
	}
	id, err := poll.CIBA.Parse(h.ring, tenant, h.app.ClientID, body["auth_req_id"])
	if err != nil || id != r.Family {
		t.Errorf("for %v: %v", id, err)
	}
}

func TestPingIsRetriedWithBackoffAndGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	var log bytes.Buffer
	c := &client{answer: func() (int, error) { return 0, errors.New("no route") }}
	p := h.pinger(c, &log)
	r := h.request(t)
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Start(tx, r, 10*time.Minute) })
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Deny(tx, tenant, r.Family, h.ada) })
	run := func(after time.Duration, want int) {
		t.Helper()
		h.pass(t, after)
		if err := p.Run(t.Context()); err != nil || len(c.bodies) != want {
			t.Fatalf("after %v: %d tries, want %d: %v", after, len(c.bodies), want, err)
		}
	}
	run(0, 1)
	run(time.Second, 1)
	run(2*time.Second, 2)
	run(2*time.Second, 2)
	run(3*time.Second, 3)
	for i := range 20 {
		run(70*time.Second, min(4+i, 6))
	}
	if c.bodies[0] != c.bodies[5] {
		t.Error("a ping that is sent again is another one")
	}
	if strings.Contains(log.String(), token) || strings.Contains(log.String(), c.bodies[0]) || !strings.Contains(log.String(), "no route") {
		t.Errorf("the log says %s", &log)
	}
}

func TestPingThatIsRefusedOrRedirectedIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{302, 307, 400, 401, 404} {
		h := newHouse(t, 1)
		var log bytes.Buffer
		c := &client{answer: func() (int, error) { return status, nil }}
		p := h.pinger(c, &log)
		r := h.start(t)
		h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, h.ada) })
		for range 3 {
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.pass(t, 5*time.Second)
		}
		if len(c.bodies) != 1 {
			t.Errorf("status %d: %d tries", status, len(c.bodies))
		}
	}
}

// The guard of fetch stands before every ping: one to an address of our own network is not
// sent, whatever was registered, and not tried again.
func TestRefusesPingSSRF(t *testing.T) {
	t.Parallel()
	hits := 0
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	t.Cleanup(inside.Close)
	for _, url := range []string{
		inside.URL, "https://127.0.0.1/ping", "https://[::1]/ping", "https://169.254.169.254/latest", "https://10.0.0.1/",
		"https://[::ffff:127.0.0.1]/", "http://app.example/ping", "https://app.example:22/",
	} {
		h := newHouse(t, 1)
		h.update(t, 0, func(tx *fsm.Tx) error { // a name that leads inside cannot be told by its looks
			_, err := federation.Update(tx, tenant, h.app.ID, 0, func(a *federation.Application) error {
				a.CIBA.EndpointURI = "https://app.example/ping"
				return nil
			})
			return err
		})
		var log bytes.Buffer
		c := &client{answer: func() (int, error) { return 204, nil }}
		p, guard := h.pinger(c, &log), fetch.New(fetch.Config{})
		tries := 0
		p.Post = func(ctx context.Context, _ string, m fetch.Message) (fetch.Receipt, error) {
			tries++
			return guard.Post(ctx, url, m)
		}
		r := h.start(t)
		h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, h.ada) })
		for range 3 {
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.pass(t, 3*time.Second)
		}
		if tries != 1 || hits != 0 || strings.Contains(log.String(), token) {
			t.Errorf("%s: %d tries, %d hits, log %s", url, tries, hits, &log)
		}
	}
}

// A notification token is neither readable in the store nor in what is logged.
func TestNotificationTokenIsStoredSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	r := h.start(t)
	if bytes.Contains(r.Token, []byte(token)) {
		t.Error("the token is stored as it is")
	}
	for _, e := range h.Log() {
		if bytes.Contains(e.Data, []byte(token)) {
			t.Error("the token is in the log")
		}
	}
}

func TestPingOfAGoneRequestEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	var log bytes.Buffer
	c := &client{answer: func() (int, error) { return 204, nil }}
	p := h.pinger(c, &log)
	r := h.start(t)
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Approve(tx, tenant, r.Family, h.ada) })
	h.update(t, 0, func(tx *fsm.Tx) error { return ciba.Spend(tx, tenant, r.Family) })
	if err := p.Run(t.Context()); err != nil || len(c.bodies) != 0 {
		t.Errorf("pinged for what was exchanged: %v, %v", c.bodies, err)
	}
	before := h.Entries()
	if err := p.Run(t.Context()); err != nil || h.Entries() != before {
		t.Errorf("an idle round is %d entries: %v", h.Entries()-before, err)
	}
}
