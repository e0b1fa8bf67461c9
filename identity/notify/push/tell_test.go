package push_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
	"github.com/quis-idp/quis/keys/seal"
)

// A server that cannot keep up drops what waits, and nobody waits for it.
func TestTellWaitsForNobody(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, slices.Concat(push.Tables, seal.Tables)...)
	registry := prometheus.NewRegistry()
	r := push.New(push.Config{DB: c.DB[0], Ring: new(seal.Ring), Lifetime: time.Minute, Logger: slog.New(slog.DiscardHandler), Registerer: registry,
		Post: func(context.Context, string, http.Header, []byte) (int, error) { return 201, nil }})
	for range 300 { // Run does not run
		r.Tell(ten, alice, []string{"ses_1"})
	}
	r.Tell(ten, alice, nil)
	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP quis_push_messages_total Push messages to browsers, by result: done, gone (the subscription is given up), failed, late, full.
# TYPE quis_push_messages_total counter
quis_push_messages_total{result="done"} 0
quis_push_messages_total{result="failed"} 0
quis_push_messages_total{result="full"} 236
quis_push_messages_total{result="gone"} 0
quis_push_messages_total{result="late"} 0
`))
	if err != nil {
		t.Error(err)
	}
}

// However slow the push services are that the people of one tenant name, and however many of them
// are to be told, those of another are told at once; and one person's hold up nobody else of the tenant.
func TestSlowServicesOfOneTenantHoldUpNoOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	r := push.New(push.Config{DB: h.DB[0], Ring: h.ring, Contact: "https://id.example.com", Lifetime: time.Minute, Logger: slog.New(slog.DiscardHandler),
		Post: func(ctx context.Context, url string, _ http.Header, _ []byte) (int, error) {
			told <- url
			if strings.HasSuffix(url, "/slow") {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 201, nil
		}})
	people := []string{alice, "usr_1", "usr_2", "usr_3", "usr_4"}
	for i, user := range append(people, "usr_b") {
		s := h.made(t, b, "ses_1", user+"/slow")
		s.UserID, s.Expires = user, time.Now().Add(time.Hour)
		if i == len(people) {
			s = h.made(t, b, "ses_1", "quick")
			s.Tenant, s.UserID, s.Expires = "ten_b", user, time.Now().Add(time.Hour)
		}
		h.update(t, 0, func(tx *fsm.Tx) error { return push.Subscribe(tx, s) })
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	for _, user := range people {
		for range 10 {
			r.Tell(ten, user, []string{"ses_1"})
		}
	}
	at := map[string]bool{}
	for range 4 {
		at[<-told] = true
	}
	if len(at) != 4 {
		t.Errorf("the lane is full of the services of %d people", len(at))
	}
	r.Tell("ten_b", "usr_b", []string{"ses_1"})
	if url := <-told; !strings.HasSuffix(url, "/quick") {
		t.Errorf("a fifth of the slow tenant before the other: %s", url)
	}
	stop()
	<-done
}
