package house

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

const issuer = testbed.Issuer

// A House is a cluster of three rooms, with the network between them.
type House struct {
	Net   *Network
	Rooms []*Room
	Rec   *history.Recorder

	seed      uint64
	size      int
	dir       string
	root      *seal.RootKey
	bootstrap string
	logf      func(format string, args ...any)

	mu     sync.Mutex
	groups groups
	jumped bool // clocks were set
	duty   []history.DutyWrite
	uses   []history.KeyUse
	sets   []history.KeySet
	odd    []history.Violation
	logins int
	terms  int // how often somebody came to lead
	fenced int // how often the log refused what somebody wrote after that
}

// The person, who is an administrator too, and a token of theirs.
const (
	Username = "tester"
	Password = "correct horse battery"
	Token    = "quis_pat_0123456789abcdef0123456789abcdef"
)

// Web is the application that the person signs in to.
var Web = testbed.Application{
	ClientID: "web", Secret: "0123456789abcdef0123456789abcdef-web",
	RedirectURI: "http://localhost:9999/cb", Scope: "openid profile offline_access",
}

const bootstrap = `
users:
  - {username: ` + Username + `, email: tester@example.com, name: Test User, password: "` + Password + `", admin: true}
applications:
  - name: web
    type: oidc
    client_id: web
    client_secret: "0123456789abcdef0123456789abcdef-web"
    redirect_uris: ["http://localhost:9999/cb"]
    grant_types: [authorization_code, refresh_token]
    allowed_scopes: [openid, profile, offline_access]
tokens:
  - {user: ` + Username + `, token: "` + Token + `"}
`

// A Tuning says how a house differs from what a configuration file without settings makes.
type Tuning struct {
	Staleness time.Duration // of answers; default 500 ms
}

// Open starts three nodes in dir and waits until all are ready. Close them in any case.
func Open(ctx context.Context, dir string, seed uint64, logf func(format string, args ...any)) (*House, error) {
	return OpenWith(ctx, dir, seed, logf, Tuning{})
}

// OpenWith is Open of nodes that are tuned.
func OpenWith(ctx context.Context, dir string, seed uint64, logf func(format string, args ...any), tuning Tuning) (*House, error) {
	const size = 3
	h := &House{Rec: history.NewRecorder(), seed: seed, size: size, dir: dir, root: seal.GenerateRootKey(), logf: logf}
	h.bootstrap = filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(h.bootstrap, []byte(bootstrap), 0o600); err != nil {
		return h, err
	}
	addresses, err := freeAddresses(4 * size)
	if err != nil {
		return h, err
	}
	h.Net = NewNetwork(addresses[:size], seed)
	for i := range size {
		r := newRoom(h, i, addresses)
		if tuning.Staleness != 0 {
			r.cfg.Staleness = tuning.Staleness
		}
		h.Rooms = append(h.Rooms, r)
	}
	errs := make(chan error, size)
	for _, r := range h.Rooms {
		go func() { errs <- r.Start(ctx) }()
	}
	for range h.Rooms {
		err = errors.Join(err, <-errs)
	}
	if err == nil {
		err = h.WaitReady(ctx)
	}
	if err == nil {
		err = h.Rooms[0].Node().DB().Update(ctx, allowTwo)
	}
	if err == nil {
		err = h.makeGroups(ctx)
	}
	return h, err
}

// allowTwo lets an operator take one of three voters away.
func allowTwo(tx *fsm.Tx) error {
	s, err := autopilot.Load(tx)
	if err != nil {
		return err
	}
	s.MinQuorum = 2
	return autopilot.Store(tx, s)
}

// Close ends whatever runs, and quickly: nothing is expected of it any more.
func (h *House) Close() error {
	h.Net.Heal()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	errs := make(chan error, len(h.Rooms))
	for _, r := range h.Rooms {
		go func() { errs <- r.Crash(ctx, 100, 0) }()
	}
	var err error
	for range h.Rooms {
		err = errors.Join(err, <-errs)
	}
	return err
}

// until waits for a condition, looking often; last is what it said before ctx ended.
func until(ctx context.Context, ok func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// WaitReady waits until all nodes are ready and vote.
func (h *House) WaitReady(ctx context.Context) error {
	return until(ctx, func() error {
		for _, r := range h.Rooms {
			if err := r.Ready(ctx); err != nil {
				return err
			}
		}
		l := h.Leader()
		if l == nil {
			return errors.New("nobody leads")
		}
		voters := 0
		for _, m := range l.Node().Cluster().Status(ctx).Members {
			if m.Voter {
				voters++
			}
		}
		if voters != len(h.Rooms) {
			return fmt.Errorf("%d of %d vote", voters, len(h.Rooms))
		}
		return nil
	})
}

// Leader returns the room of a ready leader, or nil.
func (h *House) Leader() *Room {
	for _, r := range h.Rooms {
		if n := r.Node(); n != nil && n.Cluster().IsLeader() {
			return r
		}
	}
	return nil
}

// order returns the rooms with the leader first.
func (h *House) order(ctx context.Context) ([]*Room, error) {
	var leader *Room
	err := until(ctx, func() error {
		if leader = h.Leader(); leader == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := []*Room{leader}
	for _, r := range h.Rooms {
		if r != leader {
			out = append(out, r)
		}
	}
	return out, nil
}

// blame notes something that no model looks for.
func (h *House) blame(rule, key, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.odd = append(h.odd, history.Violation{Rule: rule, Key: key, Text: fmt.Sprintf(format, args...)})
}

// freeAddresses finds loopback addresses that nobody has.
func freeAddresses(n int) ([]string, error) {
	ports, err := testbed.FreePorts(n)
	var out []string
	for _, p := range ports {
		out = append(out, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return out, err
}

// clients are the connections of everybody in this process to the nodes' public
// listeners, so that a crash can take them along.
var clients = struct {
	sync.Mutex
	open map[net.Conn]string
}{open: map[net.Conn]string{}}

type clientConn struct{ net.Conn }

func (c clientConn) Close() error {
	clients.Lock()
	delete(clients.open, c)
	clients.Unlock()
	return c.Conn.Close()
}

// Transport is what every HTTP client of the process must use: a node that crashes in
// here cannot take its sockets with it, so their far ends are closed for it.
var Transport http.RoundTripper = &http.Transport{
	MaxIdleConnsPerHost: 32,
	DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		cc := clientConn{c}
		clients.Lock()
		defer clients.Unlock()
		clients.open[cc] = "http://" + address
		return cc, nil
	},
}

func (h *House) hangUp(url string) {
	clients.Lock()
	var gone []net.Conn
	for c, u := range clients.open {
		if u == url {
			gone = append(gone, c)
		}
	}
	clients.Unlock()
	for _, c := range gone {
		c.Close()
	}
}
