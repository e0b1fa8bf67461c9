package daemon

import (
	"os"
	"runtime/debug"
)

// tuneMemory keeps an idle node small: most of what it allocates is garbage of
// requests. An operator's GOGC or GOMEMLIMIT wins.
func tuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(75)
	}
}
