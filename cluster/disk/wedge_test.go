package disk

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// TestRefusalsDoNotLeaveAFollowerBehind (invariant 16): the log of a follower refuses an
// entry every 50 ms while 400 writers are at work. With more than one message under
// way one refusal could leave it without replication for ever; it must be level with
// the leader soon after the last one.
func TestRefusalsDoNotLeaveAFollowerBehind(t *testing.T) {
	t.Parallel()
	var nodes []*raft.Raft
	var logs []*Log
	var c raft.Configuration
	var start []func() *raft.Raft
	for i := range 3 {
		l, err := OpenLog(t.TempDir(), prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x"}), func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		wire, err := raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{MaxPool: 3, MaxRPCsInFlight: 1, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		conf := raft.DefaultConfig()
		conf.LocalID, conf.LogOutput = raft.ServerID(fmt.Sprint(i)), io.Discard
		conf.SnapshotThreshold = 1 << 40
		c.Servers = append(c.Servers, raft.Server{ID: conf.LocalID, Address: wire.LocalAddr()})
		logs = append(logs, l)
		start = append(start, func() *raft.Raft {
			snaps := raft.NewInmemSnapshotStore()
			if err := raft.BootstrapCluster(conf, l, l, snaps, wire, c); err != nil {
				t.Fatal(err)
			}
			r, err := raft.NewRaft(conf, &raft.MockFSM{}, l, l, snaps, wire)
			if err != nil {
				t.Fatal(err)
			}
			l.Arm(true)
			t.Cleanup(func() { r.Shutdown().Error(); wire.Close(); l.Close() })
			return r
		})
	}
	for _, s := range start {
		nodes = append(nodes, s())
	}
	lead := -1
	until(t, "a leader", func() bool {
		for i, r := range nodes {
			if r.State() == raft.Leader {
				lead = i
			}
		}
		return lead >= 0
	})
	hurt := (lead + 1) % 3
	var writers sync.WaitGroup
	var done atomic.Bool
	var written atomic.Int64
	for range 400 {
		writers.Go(func() {
			for !done.Load() {
				if nodes[lead].Apply([]byte("entry"), time.Second).Error() == nil {
					written.Add(1)
				}
			}
		})
	}
	refused := 0
	tick := time.NewTicker(50 * time.Millisecond)
	for range 60 {
		<-tick.C
		logs[hurt].space.refused(syscall.ENOSPC)
		refused++
		<-time.After(5 * time.Millisecond)
		logs[hurt].space.look(nil)
	}
	tick.Stop()
	done.Store(true)
	writers.Wait()
	begun := time.Now()
	until(t, "the follower to be level", func() bool { return nodes[hurt].LastIndex() == nodes[lead].LastIndex() })
	t.Logf("%d refusals, %d writes; level %v after the last", refused, written.Load(), time.Since(begun).Round(time.Millisecond))
	if written.Load() == 0 {
		t.Error("nothing was written")
	}
}

// until waits for a condition, no longer than a follower may stay behind.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
