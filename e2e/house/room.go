package house

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/fsm"
)

// A Room is the place of one node: its directory, addresses, clock and disk, which
// stay while nodes come and go.
type Room struct {
	Place int
	Name  string
	URL   string // of the public listener

	h       *House
	cfg     daemon.Config
	clock   atomic.Int64  // nanoseconds that this node's clock is ahead
	writing chan struct{} // told when the store begins a table: a flush

	mu     sync.Mutex
	disk   *vfs.MemFS // of the store; what was not synced can be lost
	node   *daemon.Node
	deaths []error
	life   context.CancelFunc // ends what the house runs beside the node
	beside *sync.WaitGroup
}

func newRoom(h *House, place int, addresses []string) *Room {
	r := &Room{
		Place: place, Name: fmt.Sprintf("n%d", place+1), h: h,
		disk: vfs.NewCrashableMem(), writing: make(chan struct{}, 1),
	}
	at := func(k int) string { return addresses[k*h.size+place] }
	r.URL = "http://" + at(1)
	c := daemon.Default()
	c.NodeID, c.DataDir, c.PublicURL, c.RootKey = r.Name, filepath.Join(h.dir, r.Name), issuer, h.root
	c.Listen = daemon.Listen{Public: at(1), Operations: at(2)}
	c.Cluster.Listen, c.Cluster.Advertise, c.Cluster.Gossip = at(0), at(0), at(3)
	c.Cluster.Join, c.Cluster.BootstrapExpect = addresses[:h.size], h.size
	c.BootstrapFile = h.bootstrap
	c.Drain = 0
	c.Logger = slog.New(slog.DiscardHandler)
	if os.Getenv("QUIS_TEST_LOG") != "" {
		c.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	c.Fatal = func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.deaths = append(r.deaths, err)
	}
	c.TuneStore = func(s *fsm.Config) {
		s.FS, s.Now = errorfs.Wrap(r.disk, errorfs.InjectorFunc(r.watch)), r.now
	}
	c.TuneCluster = func(k *cluster.Config) {
		k.Dial, k.Now = h.Net.Dial(place), r.now
		k.PromoteAfter = 200 * time.Millisecond
		k.SnapshotInterval, k.SnapshotThreshold, k.TrailingLogs = 300*time.Millisecond, 64, 128
	}
	r.cfg = c
	return r
}

func (r *Room) now() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }

// watch sees every operation on the store's disk.
func (r *Room) watch(op errorfs.Op) error {
	if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
		select {
		case r.writing <- struct{}{}:
		default:
		}
	}
	return nil
}

// Node returns the running node, or nil.
func (r *Room) Node() *daemon.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node
}

// died returns why the node said that it cannot go on, since it was started.
func (r *Room) died() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.deaths...)
}

// Start starts the node and returns when it serves; it may not be ready yet.
func (r *Room) Start(ctx context.Context) error {
	r.mu.Lock()
	r.deaths = nil
	r.mu.Unlock()
	n, err := daemon.Start(ctx, r.cfg)
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Name, err)
	}
	life, end := context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node, r.life, r.beside = n, end, &sync.WaitGroup{}
	r.beside.Go(func() { r.h.duties(life, r.Name, n) })
	return nil
}

// take empties the room; nil if nobody was there.
func (r *Room) take() *daemon.Node {
	r.silence()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.node
	r.node = nil
	return n
}

// silence ends what the house runs beside the node.
func (r *Room) silence() {
	r.mu.Lock()
	end, beside := r.life, r.beside
	r.mu.Unlock()
	if end != nil {
		end()
		beside.Wait()
	}
}

// Stop ends the node in order.
func (r *Room) Stop(ctx context.Context) error {
	n := r.take()
	if n == nil {
		return nil
	}
	if err := n.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", r.Name, err)
	}
	return nil
}

// Crash ends the node without a word. Of what its store had not synced, every block
// survives with a chance of keep percent: 100 is a kill -9, less is a power loss.
func (r *Room) Crash(ctx context.Context, keep int, draw uint64) error {
	n := r.take()
	if n == nil {
		return nil
	}
	r.h.hangUp(r.URL)
	err := n.Crash(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.disk = r.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(draw, 3))})
	})
	r.h.hangUp(r.URL)
	if err != nil {
		r.h.logf("crash of %s: %v", r.Name, err)
	}
	return ctx.Err()
}

// Wipe empties the directory and the disk of a node that is down.
func (r *Room) Wipe() error {
	r.mu.Lock()
	r.disk = vfs.NewCrashableMem()
	r.mu.Unlock()
	return os.RemoveAll(r.cfg.DataDir)
}

// Ready reports whether the node runs and says that it is ready.
func (r *Room) Ready(ctx context.Context) error {
	n := r.Node()
	if n == nil {
		return fmt.Errorf("%s is down", r.Name)
	}
	if err := n.Ready(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}

// SetClock sets this node's clock to be ahead of everybody's by d.
func (r *Room) SetClock(d time.Duration) { r.clock.Store(int64(d)) }

// Files calls f with every file on the node's disks. The node must be down.
func (r *Room) Files(f func(name string, content []byte)) error {
	err := filepath.WalkDir(r.cfg.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		f(path, b)
		return err
	})
	if err != nil {
		return err
	}
	return walk(r.disk, r.cfg.DataDir, f)
}

func walk(disk *vfs.MemFS, dir string, f func(name string, content []byte)) error {
	names, err := disk.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := disk.PathJoin(dir, name)
		info, err := disk.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := walk(disk, path, f); err != nil {
				return err
			}
			continue
		}
		file, err := disk.Open(path)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		f(path, b)
	}
	return nil
}
