package daemon

import (
	"os"
	"runtime"
	"sync"
)

// hashers is how many passwords the process hashes at a time: half of its cores, so that
// the other half always serves tokens.
var hashers = max(1, runtime.GOMAXPROCS(0)/2)

var spreading sync.Once

// spreadCores lets hashes run beside everything else instead of in its place. A hash takes
// one of Go's processors for 25 ms, in which the scheduler has one less for requests that
// take 0.2 ms. With a processor more for each, the kernel alone divides the cores, and
// hashes yield to whoever waits for one (identity/credential/argon2).
// An operator's GOMAXPROCS wins.
func spreadCores() {
	if os.Getenv("GOMAXPROCS") == "" {
		spreading.Do(func() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + hashers) })
	}
}
