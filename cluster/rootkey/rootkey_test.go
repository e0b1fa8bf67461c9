package rootkey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/rootkey"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A house is three real nodes in this process.
type house struct {
	t     *testing.T
	addrs []string
	dirs  []string
	nodes []*cluster.Node
	dbs   []*fsm.DB
	roots []*seal.RootKey
}

func newHouse(t *testing.T, root *seal.RootKey) *house {
	h := &house{t: t, nodes: make([]*cluster.Node, 3), dbs: make([]*fsm.DB, 3), roots: []*seal.RootKey{root, root, root}}
	for len(h.addrs) < 3 { // below the ports that outgoing connections are given
		at := fmt.Sprintf("127.0.0.1:%d", 11000+rand.IntN(20000))
		l, err := net.Listen("tcp", at)
		if err != nil || slices.Contains(h.addrs, at) {
			continue
		}
		h.addrs, h.dirs = append(h.addrs, at), append(h.dirs, t.TempDir())
		l.Close()
	}
	var all sync.WaitGroup
	for i := range h.nodes {
		all.Go(func() { h.start(i, root) })
	}
	all.Wait()
	t.Cleanup(func() {
		for i := range h.nodes {
			h.stop(i)
		}
	})
	return h
}

func (h *house) start(i int, root *seal.RootKey) {
	db, err := fsm.Open(fsm.Config{Dir: filepath.Join(h.dirs[i], "store"), Schema: slices.Concat(cluster.Tables, seal.Tables, backup.Tables)})
	if err != nil {
		h.t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	n, err := cluster.Start(ctx, cluster.Config{
		DataDir: h.dirs[i], NodeID: fmt.Sprintf("n%d", i+1), Version: "test", Listen: h.addrs[i], Join: h.addrs, BootstrapExpect: 3,
		Root: root, DB: db, Logger: slog.New(slog.DiscardHandler), Heartbeat: 200 * time.Millisecond,
		Fatal: func(err error) { h.t.Error(err) },
	})
	if err == nil {
		err = n.WaitReady(ctx)
	}
	if err != nil {
		h.t.Errorf("n%d with %v: %v", i+1, root.IDs(), err)
		return
	}
	h.nodes[i], h.dbs[i], h.roots[i] = n, db, root
}

func (h *house) stop(i int) {
	if h.nodes[i] == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), time.Minute)
	defer cancel()
	if err := errors.Join(h.nodes[i].Stop(ctx), h.dbs[i].Close()); err != nil {
		h.t.Error(err)
	}
	h.nodes[i] = nil
}

func (h *house) restart(root *seal.RootKey, which ...int) {
	h.t.Helper()
	for _, i := range which {
		h.stop(i)
		if h.start(i, root); h.t.Failed() {
			h.t.FailNow()
		}
	}
}

func (h *house) keeper(i int) *rootkey.Keeper {
	return &rootkey.Keeper{Root: h.roots[i], DB: h.dbs[i], Node: h.nodes[i], Logger: slog.New(slog.DiscardHandler)}
}

// run has all running nodes do the duty at once, twice: each believes that it leads.
func (h *house) run(ctx context.Context) {
	var all sync.WaitGroup
	for i, n := range h.nodes {
		if n == nil {
			continue
		}
		all.Go(func() {
			k := h.keeper(i)
			for range 2 {
				if err := k.Run(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, fsm.ErrConflict) {
					h.t.Errorf("n%d: %v", i+1, err)
				}
			}
		})
	}
	all.Wait()
}

func (h *house) rootsAt(i int) (r seal.Roots) {
	h.t.Helper()
	if err := h.dbs[i].Read(h.t.Context(), func(tx *fsm.Tx) (err error) { r, err = seal.RootsOf(tx); return err }); err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) status(i int) rootkey.Status {
	h.t.Helper()
	s, err := h.keeper(i).Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) says(i int, words string) {
	h.t.Helper()
	if s := h.status(i); !strings.Contains(s.Step, words) {
		h.t.Errorf("%q is missing in %q (%+v)", words, s.Step, s)
	}
}

func TestReplaceWithOverlap(t *testing.T) {
	t.Parallel()
	old, now := seal.GenerateRootKey(), seal.GenerateRootKey()
	join := func(keys ...*seal.RootKey) *seal.RootKey {
		k, err := seal.JoinRootKeys(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	h := newHouse(t, old)
	if t.Failed() {
		return
	}
	k := &backup.Keeper{Root: old}
	if err := h.dbs[0].Update(t.Context(), func(tx *fsm.Tx) error {
		s := backup.Schedule{Every: time.Hour, KeepLast: 1, Target: "s3://bucket", Endpoint: "http://127.0.0.1:1", AccessKey: "a", Secret: "s"}
		return errors.Join(seal.Init(tx, old), k.SetSchedule(tx, s))
	}); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.OpenRing(t.Context(), h.dbs[0], old)
	if err != nil {
		t.Fatal(err)
	}
	box, err := ring.Seal("test", []byte("kept"), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.says(0, "one root key")

	h.restart(join(old, now), 0)
	h.run(t.Context())
	h.says(0, "not known to n2, n3")
	h.restart(join(old, now), 1, 2)
	h.run(t.Context())
	h.says(1, "run quis root-key use on every node")
	if r := h.rootsAt(0); cmp.Diff([]string{old.ID()}, r.Any) != "" {
		t.Errorf("added, but not in use: %+v", r)
	}

	h.restart(join(now, old), 0, 1)
	h.run(t.Context())
	h.says(0, "Not all nodes use the same")
	h.stop(2)
	h.run(t.Context())
	h.says(0, "node n3: it does not answer")
	if r := h.rootsAt(0); cmp.Diff([]string{old.ID()}, r.Any) != "" {
		t.Errorf("wrapped anew while a member was away: %+v", r)
	}
	h.start(2, join(now, old))
	ctx, cancel := context.WithCancel(t.Context()) // leaders that fall in the middle
	go cancel()
	h.run(ctx)
	h.run(t.Context())
	waitFor(t, "everything under the new key", func() bool { return h.status(2).Droppable })
	for _, i := range h.status(0).Items {
		if !slices.Contains(i.Keys, now.ID()) {
			t.Errorf("%+v", i)
		}
	}
	if n := len(h.status(0).Items); n != 3 {
		t.Errorf("%d items", n)
	}
	h.says(1, "run quis root-key drop")

	h.restart(now, 0)
	h.run(t.Context())
	if r := h.rootsAt(0); len(r.Any) != 2 {
		t.Errorf("two nodes still name the former key: %+v", r)
	}
	h.restart(now, 1, 2)
	waitFor(t, "the former key to be gone", func() bool { h.run(t.Context()); return len(h.rootsAt(1).Any) == 1 })
	h.says(0, "one root key")
	if _, err := seal.OpenRing(t.Context(), h.dbs[0], old); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("the former key opens the ring: %v", err)
	}
	if ring, err = seal.OpenRing(t.Context(), h.dbs[2], now); err == nil {
		_, err = ring.Open("test", box, nil)
	}
	if err != nil {
		t.Errorf("what was sealed before: %v", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("waited in vain for " + what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
