package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quis-idp/quis/cluster"
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

// replicatedWrites runs three nodes as processes; the leader's own goroutines write.
func replicatedWrites(ctx context.Context, o options) ([]figure, error) {
	dir, err := os.MkdirTemp("", "quis-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root := seal.GenerateRootKey().Encode()
	var addrs []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, l.Addr().String())
		l.Close()
	}
	results := make(chan writeResult, 3)
	errs := make(chan error, 3)
	var stop []io.Closer
	defer func() {
		for _, c := range stop {
			c.Close()
		}
	}()
	for i := range 3 {
		c := nodeConfig{Dir: filepath.Join(dir, fmt.Sprint(i)), ID: fmt.Sprintf("node-%d", i+1), Listen: addrs[i], Root: root, Join: addrs, Duration: o.duration}
		in, err := startNode(ctx, c, results, errs)
		if err != nil {
			return nil, err
		}
		stop = append(stop, in)
	}
	select {
	case r := <-results:
		return []figure{
			{Name: "replicated writes", Value: float64(r.Writes) / r.Elapsed.Seconds(), Unit: "/s", Goal: "≥ 12000",
				Note: fmt.Sprintf("%d writers at the leader, three processes, fsync on", writers)},
			{Name: "replicated write p99", Value: ms(r.P99), Unit: "ms", Goal: "< 60", Note: fmt.Sprintf("p50 %.1f ms", ms(r.P50))},
		}, nil
	case err := <-errs:
		return nil, err
	case <-time.After(o.duration + time.Minute):
		return nil, errors.New("the nodes gave no result")
	}
}

// startNode runs one node until the returned pipe is closed.
func startNode(ctx context.Context, c nodeConfig, results chan<- writeResult, errs chan<- error) (io.Closer, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(b))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			var r writeResult
			if json.Unmarshal(s.Bytes(), &r) == nil && r.Writes > 0 {
				results <- r
			}
		}
		if err := cmd.Wait(); err != nil {
			errs <- fmt.Errorf("%s: %w", c.ID, err)
		}
	}()
	return in, nil
}

// benchNode is the child process: a node that writes as soon as it leads.
func benchNode() {
	var c nodeConfig
	err := json.Unmarshal([]byte(os.Getenv(nodeEnv)), &c)
	if err == nil {
		err = c.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench node:", err)
		os.Exit(1)
	}
}

func (c nodeConfig) run() error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // the parent closes our standard input when it is done
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	root, err := seal.ParseRootKey(c.Root)
	if err != nil {
		return err
	}
	db, err := fsm.Open(fsm.Config{Dir: filepath.Join(c.Dir, "store"), Schema: slices.Concat(cluster.Tables, seal.Tables, []fsm.Definition{records})})
	if err != nil {
		return err
	}
	defer db.Close()
	node, err := cluster.Start(ctx, cluster.Config{DataDir: c.Dir, NodeID: c.ID, Listen: c.Listen, Join: c.Join, BootstrapExpect: 3, Root: root, DB: db})
	if err != nil {
		return err
	}
	defer node.Stop(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		if node.Ready() == nil && node.IsLeader() && votersAlive(ctx, node) == 3 {
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
