package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/e2e/bench/sealing"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// nodeEnv carries the configuration of a node process to this program's own child.
const nodeEnv = "QUIS_BENCH_NODE"

const writers = 256

type nodeConfig struct {
	Dir, ID, Listen, Root string
	Join                  []string
	Duration              time.Duration
}

type writeResult struct {
	Writes   int
	P50, P99 time.Duration
	Elapsed  time.Duration
}

// record is what a write writes: 256 bytes with one index key, whose key must be free.
type record struct {
	ID   string `cbor:"1,keyasint"`
	Tag  string `cbor:"2,keyasint"`
	Body []byte `cbor:"3,keyasint"`
}

var records = fsm.NewTable(900, "bench_records", fsm.Spec[record]{Key: func(r *record) fsm.Key { return fsm.K(r.ID) }})
var _ = records.Index(1, "tag", func(r *record) []fsm.Key { return []fsm.Key{fsm.K(r.Tag)} })

// replicatedWrites measures three nodes on this machine's disk, and the same without
// each of what makes a write safe, so that one sees what it costs.
func replicatedWrites(ctx context.Context, o options) ([]figure, error) {
	disk, err := writesOn(ctx, o, 3, os.TempDir())
	if err != nil {
		return nil, err
	}
	figures := []figure{
		{Name: "replicated writes", Value: disk.rate(), Unit: "/s", Goal: "≥ 12000",
			Note: fmt.Sprintf("%d writers at the leader, three processes, fsync on", writers)},
		{Name: "replicated write p99", Value: ms(disk.P99), Unit: "ms", Goal: "< 60", Note: fmt.Sprintf("p50 %.1f ms", ms(disk.P50))},
	}
	for _, v := range []struct {
		name, note, dir string
		nodes           int
	}{
		{"… without replication", "one node, fsync on", os.TempDir(), 1},
		{"… without a disk", "three nodes in memory: what fsync costs is the difference to the first line", "/dev/shm", 3},
		{"… without either", "one node in memory", "/dev/shm", 1},
	} {
		if _, err := os.Stat(v.dir); err != nil {
			continue // no memory to be had as a directory
		}
		r, err := writesOn(ctx, o, v.nodes, v.dir)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{Name: v.name, Value: r.rate(), Unit: "/s", Note: fmt.Sprintf("%s; p50 %.1f ms, p99 %.1f ms", v.note, ms(r.P50), ms(r.P99))})
	}
	tls, err := sealing.Cost()
	return append(figures, figure{Name: "TLS of a write", Value: tls, Unit: "µs CPU", Note: "sent to two followers in groups of 77, beside plain TCP"}), err
}

func (r writeResult) rate() float64 { return float64(r.Writes) / r.Elapsed.Seconds() }

// writesOn runs n nodes as processes with their data below dir; the leader's own
// goroutines write.
func writesOn(ctx context.Context, o options, n int, dir string) (writeResult, error) {
	dir, err := os.MkdirTemp(dir, "quis-bench-")
	if err != nil {
		return writeResult{}, err
	}
	defer os.RemoveAll(dir)
	root := seal.GenerateRootKey().Encode()
	ports, err := testbed.FreePorts(n)
	if err != nil {
		return writeResult{}, err
	}
	var addrs []string
	for _, p := range ports {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", p))
	}
	results := make(chan writeResult, n)
	errs := make(chan error, n)
	var nodes []*benchChild
	defer func() {
		for _, c := range nodes {
			c.end()
		}
	}()
	for i := range n {
		c := nodeConfig{Dir: filepath.Join(dir, fmt.Sprint(i)), ID: fmt.Sprintf("node-%d", i+1), Listen: addrs[i], Root: root, Join: addrs, Duration: o.duration}
		child, err := startNode(ctx, c, results, errs)
		if err != nil {
			return writeResult{}, err
		}
		nodes = append(nodes, child)
	}
	select {
	case r := <-results:
		return r, nil
	case err := <-errs:
		return writeResult{}, err
	case <-time.After(o.duration + time.Minute):
		return writeResult{}, errors.New("the nodes gave no result")
	}
}

// A benchChild is a node of writesOn, which lives until its standard input ends.
type benchChild struct {
	process *os.Process
	in      io.Closer
	done    chan struct{}
}

func (c *benchChild) end() {
	c.in.Close()
	<-c.done
}

// startNode runs one node until it is ended.
func startNode(ctx context.Context, c nodeConfig, results chan<- writeResult, errs chan<- error) (*benchChild, error) {
	return startChild(ctx, nodeEnv, c, func(line []byte) {
		var r writeResult
		if json.Unmarshal(line, &r) == nil && r.Writes > 0 {
			results <- r
		}
	}, errs)
}

// startChild runs this program again, as what the order in the environment variable env makes
// it, until it is ended; line gets what it prints, errs how it failed.
func startChild(ctx context.Context, env string, order any, line func([]byte), errs chan<- error) (*benchChild, error) {
	b, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), env+"="+string(b))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := testbed.StartChild(cmd); err != nil {
		return nil, err
	}
	child := &benchChild{process: cmd.Process, in: in, done: make(chan struct{})}
	go func() {
		defer close(child.done)
		s := bufio.NewScanner(out)
		for s.Scan() {
			line(s.Bytes())
		}
		if err := cmd.Wait(); err != nil {
			errs <- fmt.Errorf("child %s: %w", b, err)
		}
	}()
	return child, nil
}

// untilClosed is a context that ends when the parent closes our standard input, as it does when
// it is done or has died.
func untilClosed() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}

// run is the child process: a node that writes as soon as it leads.
func (c nodeConfig) run() error {
	ctx := untilClosed()
	root, err := seal.ParseRootKey(c.Root)
	if err != nil {
		return err
	}
	db, err := fsm.Open(fsm.Config{Dir: filepath.Join(c.Dir, "store"), Schema: slices.Concat(cluster.Tables, seal.Tables, []fsm.Definition{records})})
	if err != nil {
		return err
	}
	defer db.Close()
	node, err := cluster.Start(ctx, cluster.Config{DataDir: c.Dir, NodeID: c.ID, Listen: c.Listen, Join: c.Join, BootstrapExpect: len(c.Join), Root: root, DB: db})
	if err != nil {
		return err
	}
	defer node.Stop(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		if node.Ready() == nil && node.IsLeader() && votersAlive(ctx, node) == len(c.Join) {
			if err := json.NewEncoder(os.Stdout).Encode(write(ctx, db, c.Duration)); err != nil {
				return err
			}
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return nil
}

func votersAlive(ctx context.Context, node *cluster.Node) (n int) {
	if _, err := node.MinApplied(ctx); err != nil {
		return 0
	}
	for _, m := range node.Status(ctx).Members {
		if m.Voter {
			n++
		}
	}
	return n
}

// write lets all writers insert rows for the given time.
func write(ctx context.Context, db *fsm.DB, d time.Duration) writeResult {
	body := []byte(strings.Repeat("x", 200))
	times := make([][]time.Duration, writers)
	start := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; time.Since(start) < d && ctx.Err() == nil; i++ {
				at := time.Now()
				id := fmt.Sprintf("%03d-%09d", w, i)
				err := db.Update(ctx, func(tx *fsm.Tx) error {
					return records.Insert(tx, &record{ID: id, Tag: id[:6], Body: body})
				})
				if err == nil {
					times[w] = append(times[w], time.Since(at))
				}
			}
		})
	}
	wg.Wait()
	return summary(slices.Concat(times...), time.Since(start))
}
