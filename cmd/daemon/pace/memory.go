package pace

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Between two collections a node allocates at least breath, and at least as much as is
// alive. A node has a small heap, of 5 to 10 MiB: by percent alone the collector would run
// after every 4 MiB, sixty times a second under load, which costs a third of the tokens that
// a core can make, and latency (README, Figures). A flood over a thousand connections keeps
// 40 MiB alive: with three quarters of that between two collections p99 of tokens was 1.7 and
// 1.9 times that of an idle node, with all of it 1.5 and 1.5.
const (
	breath     = 12 << 20 // bytes
	leastShare = 100      // percent of what is alive
)

// tuneMemory sets the collector's pace, now and after each collection.
func tuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		pace(leastShare)
	}
}

// pace sets the percentage for the heap that the last collection left and comes again after
// the next one, which frees the sentinel.
func pace(current int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := gcPercent(live[0].Value.Uint64())
	if diff := percent - current; diff*8 > current || -diff*8 > current { // setting it stops the world
		debug.SetGCPercent(percent)
		current = percent
	}
	sentinel := new([16]byte) // large enough not to share a block with others of the tiny allocator
	runtime.AddCleanup(sentinel, pace, current)
}

func gcPercent(live uint64) int {
	return max(leastShare, int(100*breath/max(live, 4<<20)))
}
