package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// note is what the tests write.
type note struct {
	ID   string `cbor:"1,keyasint,omitempty"`
	Text string `cbor:"2,keyasint,omitempty"`
}

var notes = fsm.NewTable(1000, "notes", fsm.Spec[note]{Key: func(n *note) fsm.Key { return fsm.K(n.ID) }})

var counts = fsm.NewCounter(1001, "counts")

// Files in a data directory.
const (
	logFile      = "raft.db"
	identityFile = "node.json"
)

// A house is a cluster of real nodes in this process: TLS on loopback, logs on disk.
type house struct {
	t     testing.TB
	root  *seal.RootKey
	addrs []string
	rooms []*room
	tune  func(*Config)
}

type room struct {
	cfg    Config
	db     *fsm.DB
	node   *Node
	mu     sync.Mutex
	deaths []error
}

func newHouse(t testing.TB, n int, tune func(*Config)) *house {
	t.Helper()
	h := &house{t: t, root: seal.GenerateRootKey(), addrs: freeAddresses(t, n), tune: tune}
	for i := range n {
		h.rooms = append(h.rooms, h.newRoom(i))
	}
	t.Cleanup(func() {
		for i := range h.rooms {
			h.stop(i)
		}
	})
	return h
}

func (h *house) newRoom(i int) *room {
	r := &room{cfg: Config{
		DataDir: h.t.TempDir(), NodeID: fmt.Sprintf("n%d", i+1), Version: "test",
		Listen: h.addrs[i], BootstrapExpect: len(h.addrs), Root: h.root,
		Logger: testLogger(h.t), Heartbeat: 150 * time.Millisecond, PromoteAfter: 30 * time.Millisecond,
		ProbeEvery: 30 * time.Millisecond, ProposeTimeout: 20 * time.Second,
	}}
	if len(h.addrs) > 1 {
		r.cfg.Join = h.addrs
	}
	r.cfg.Fatal = func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.deaths = append(r.deaths, err)
	}
	if h.tune != nil {
		h.tune(&r.cfg)
	}
	return r
}

func (r *room) died() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.deaths...)
}

func testLogger(t testing.TB) *slog.Logger {
	out := io.Discard
	if os.Getenv("QUIS_TEST_LOG") != "" {
		out = os.Stderr
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// nextPort walks through ports that no outgoing connection is ever given, so that an
// address found free stays free until a node binds it.
var nextPort atomic.Int32

func init() { nextPort.Store(int32(10000 + os.Getpid()%200*100)) }

// freeAddresses returns loopback addresses that nobody listens on.
func freeAddresses(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range 2000 {
		port := 10000 + nextPort.Add(1)%20000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		addrs = append(addrs, l.Addr().String())
		l.Close()
		if len(addrs) == n {
			return addrs
		}
	}
	t.Fatal("no free ports")
	return nil
}

func open(t testing.TB, dir string) *fsm.DB {
	t.Helper()
	db, err := fsm.Open(fsm.Config{Dir: filepath.Join(dir, "store"), Schema: append([]fsm.Definition{notes, counts}, Tables...)})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// tryStart opens the store of node i and starts it.
func (h *house) tryStart(ctx context.Context, i int) error {
	r := h.rooms[i]
	r.db = open(h.t, r.cfg.DataDir)
	r.cfg.DB = r.db
	n, err := Start(ctx, r.cfg)
	if err != nil {
		return errors.Join(err, r.db.Close())
	}
	r.node = n
	return nil
}

// start starts the given nodes at once (all of them if none is given) and waits
// until they are ready.
func (h *house) start(which ...int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	if len(which) == 0 {
		for i := range h.rooms {
			which = append(which, i)
		}
	}
	errs := make([]error, len(which))
	var all sync.WaitGroup
	for k, i := range which {
		all.Go(func() {
			if errs[k] = h.tryStart(ctx, i); errs[k] == nil {
				errs[k] = h.rooms[i].node.WaitReady(ctx)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		h.t.Fatal(err)
	}
}

// settled waits until the cluster writes nothing by itself any more.
func (h *house) settled() {
	h.t.Helper()
	eventually(h.t, "the authority to be stored", func() bool {
		for _, r := range h.rooms { // whoever is behind knows less
			if r.node == nil {
				continue
			}
			if row, err := form.StoredAuthority(context.Background(), r.db); err != nil || row == nil {
				return false
			}
		}
		return true
	})
}

// stop ends node i in order.
func (h *house) stop(i int) {
	h.t.Helper()
	r := h.rooms[i]
	if r.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := r.node.Stop(ctx)
	if err = errors.Join(err, r.db.Close()); err != nil && r.died() == nil {
		h.t.Errorf("stop %s: %v", r.cfg.NodeID, err)
	}
	r.node = nil
}

// crash ends node i without a word to anybody, neither to peers nor to its disk.
func (h *house) crash(i int) {
	h.t.Helper()
	r := h.rooms[i]
	r.node.died.Store(true) // no flush
	if err := errors.Join(r.node.shutdown(), r.db.Close()); err != nil {
		h.t.Logf("crash %s: %v", r.cfg.NodeID, err)
	}
	r.node = nil
}

// wipe empties the data directory of a stopped node.
func (h *house) wipe(i int) {
	h.t.Helper()
	dir := h.rooms[i].cfg.DataDir
	names, err := os.ReadDir(dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, n := range names {
		if err := os.RemoveAll(filepath.Join(dir, n.Name())); err != nil {
			h.t.Fatal(err)
		}
	}
}

// leader waits for a ready leader and returns its place.
func (h *house) leader() int {
	h.t.Helper()
	at := -1
	eventually(h.t, "a leader", func() bool {
		for i, r := range h.rooms {
			if r.node != nil && r.node.IsLeader() {
				at = i
				return true
			}
		}
		return false
	})
	return at
}

func (h *house) followers() []int {
	l := h.leader()
	var f []int
	for i, r := range h.rooms {
		if i != l && r.node != nil {
			f = append(f, i)
		}
	}
	return f
}

// eventually waits for a condition, looking often.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute) // of a machine that is busy
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func put(db *fsm.DB, id, text string) error {
	return db.Update(context.Background(), func(tx *fsm.Tx) error { return notes.Put(tx, &note{id, text}) })
}

// allWrite writes through every node that runs.
func (h *house) allWrite() {
	h.t.Helper()
	for _, r := range h.rooms {
		if r.node == nil {
			continue
		}
		if err := put(r.db, "late", "y"); err != nil {
			h.t.Errorf("write through %s: %v", r.cfg.NodeID, err)
		}
	}
}

// text reads what this replica holds, without asking anybody.
func text(db *fsm.DB, id string) string {
	var s string
	_ = db.View(context.Background(), func(tx *fsm.Tx) error {
		n, err := notes.Get(tx, fsm.Global, fsm.K(id))
		if err == nil {
			s = n.Text
		}
		return nil
	})
	return s
}

// sameState waits until all running replicas stand at one index with one chain.
func (h *house) sameState() {
	h.t.Helper()
	eventually(h.t, "equal replicas", func() bool {
		var first *fsm.Position
		for _, r := range h.rooms {
			if r.node == nil {
				continue
			}
			p := r.db.Position()
			if first == nil {
				first = &p
			}
			if p.Index != first.Index || p.Chain != first.Chain {
				return false
			}
		}
		return true
	})
}

func (h *house) isVoter(i int) bool {
	for _, s := range h.rooms[h.leader()].node.servers() {
		if string(s.ID) == h.rooms[i].cfg.NodeID {
			return s.Suffrage == raft.Voter
		}
	}
	return false
}
