package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// BenchmarkPropose256 has 256 clients write small rows through the leader of three
// nodes, all in this process and on one disk, with fsync.
func BenchmarkPropose256(b *testing.B) { benchmark(b, 256, true) }

// BenchmarkForward256 writes through a follower.
func BenchmarkForward256(b *testing.B) { benchmark(b, 256, false) }

// BenchmarkPropose1 is a single client at the leader: the latency of one write.
func BenchmarkPropose1(b *testing.B) { benchmark(b, 1, true) }

// BenchmarkForward1 is a single client at a follower, its own apply included.
func BenchmarkForward1(b *testing.B) { benchmark(b, 1, false) }

func benchmark(b *testing.B, clients int, atLeader bool) {
	h := newHouse(b, 3, func(c *Config) { c.Heartbeat = 300 * time.Millisecond })
	h.start()
	i := h.leader()
	if !atLeader {
		i = h.followers()[0]
	}
	r := h.rooms[i]
	payload := string(make([]byte, 200))
	before := r.db.Position().Index
	took := make([][]time.Duration, clients)
	var next atomic.Int64
	var all sync.WaitGroup
	cpu := cpuTime(b)
	b.ResetTimer()
	for c := range clients {
		all.Go(func() {
			for {
				k := next.Add(1)
				if k > int64(b.N) {
					return
				}
				begun := time.Now()
				err := r.db.Update(b.Context(), func(tx *fsm.Tx) error {
					return notes.Insert(tx, &note{fmt.Sprintf("%d-%d", c, k), payload})
				})
				if err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(begun))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	every := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(every) == 0 {
		b.Fatal("nothing written")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.ReportMetric(every[len(every)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(every[len(every)*99/100].Seconds()*1000, "p99-ms")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/write") // clients and all three nodes
	b.ReportMetric(float64(b.N)/float64(r.db.Position().Index-before), "writes/entry")
}

// cpuTime returns how much processor time this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
