package fetch

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
	"github.com/quis-idp/quis/keys/seal"
)

// A log hands on what is written to it, line by line.
type log chan string

func (l log) Write(b []byte) (int, error) {
	l <- string(bytes.TrimSpace(b))
	return len(b), nil
}

// A browser's script names its push service: by default nobody can so have us send to this
// machine or its neighbours, nor to what operators opened to applications.
func TestPushGoesThroughTheGuard(t *testing.T) {
	t.Parallel()
	service := pushtest.NewService(t)
	roots := x509.NewCertPool()
	roots.AddCert(service.Certificate())
	db := fsmtest.NewCluster(t, 1, slices.Concat(push.Tables, seal.Tables)...).DB[0]
	root := seal.GenerateRootKey()
	update := func(fn func(tx *fsm.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	update(func(tx *fsm.Tx) error { return seal.Init(tx, root) })
	ring, err := seal.OpenRing(t.Context(), db, root)
	if err != nil {
		t.Fatal(err)
	}
	said := make(log, 10)
	tell := func(c *Client, session, endpoint string) {
		t.Helper()
		room := push.New(push.Config{DB: db, Ring: ring, Contact: "https://id.example.com", Post: c.Push, Lifetime: time.Minute, Logger: slog.New(slog.NewTextHandler(said, nil))})
		if _, err := room.Key(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, err := pushtest.NewBrowser()
		if err != nil {
			t.Fatal(err)
		}
		s, err := push.Read(endpoint, b.P256DH(), b.Auth(), "")
		if err != nil {
			t.Fatal(err)
		}
		update(func(tx *fsm.Tx) error {
			s := s
			s.Tenant, s.UserID, s.Session, s.Expires = "ten_a", "usr_a", session, tx.Now().Add(time.Hour)
			return push.Subscribe(tx, s)
		})
		var run sync.WaitGroup
		run.Go(func() { room.Run(t.Context()) })
		t.Cleanup(run.Wait)
		room.Tell("ten_a", "usr_a", []string{session})
	}
	for _, endpoint := range []string{service.URL + "/hush", "https://10.0.0.1/hush", "https://169.254.169.254/hush", "https://[::1]/hush", "https://localhost/hush"} {
		tell(New(Config{RootCAs: roots}), "ses_1", endpoint)
		if line := <-said; !strings.Contains(line, "not a public one") || strings.Contains(line, "hush") {
			t.Errorf("%s: %s", endpoint, line)
		}
	}
	if len(service.Messages) > 0 {
		t.Error("a message came to a loopback address")
	}
	open := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots})
	tell(open, "ses_2", service.URL+"/open")
	if m := <-service.Messages; m.Err != nil || m.Path != "/open" {
		t.Errorf("%s: %v", m.Path, m.Err)
	}
	// The connection that is open now is no way around.
	tell(open.Public(), "ses_3", service.URL+"/open")
	if line := <-said; !strings.Contains(line, "not a public one") || len(service.Messages) > 0 {
		t.Errorf("what is open to applications is to everybody: %s", line)
	}
}
