// Package pace is how a node's process shares its cores and its memory: how many of Go's
// processors there are, and how often the collector runs. It is for the whole process, set
// once, however many nodes are in it.
package pace

import (
	"os"
	"runtime"
	"sync"
)

// Hashers is how many passwords the process hashes at a time: half of its cores, so that
// the other half always serves tokens.
var Hashers = max(1, runtime.GOMAXPROCS(0)/2)

var once sync.Once

// Set does both. An operator's GOMAXPROCS, and GOGC or GOMEMLIMIT, win.
func Set() {
	once.Do(func() {
		spreadCores()
		tuneMemory()
	})
}

// spreadCores lets hashes run beside everything else instead of in its place. A hash takes
// one of Go's processors for 25 ms, in which the scheduler has one less for requests that
// take 0.2 ms. With a processor more for each, the kernel alone divides the cores, and
// hashes yield to whoever waits for one (identity/credential/argon2).
func spreadCores() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors(runtime.GOMAXPROCS(0) + Hashers))
	}
}

// processors is at least n, and a number of which the collector takes whole ones for itself. Of three or fewer,
// or of six, it takes a share of each (runtime/mgcpacer.go, startCycle), up to five milliseconds at a time, in which what is
// in that one's queue waits: a token behind a collection was three times as slow as others.
func processors(n int) int {
	for n <= 3 || n == 6 {
		n++
	}
	return n
}
