package logout

import (
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 5 * time.Second
	longestPause = 30 * time.Minute
)

// pause is how long to wait after the nth attempt failed: twice as long each time, and up
// to a quarter more or less, so that what failed together does not come back together.
func pause(n int) time.Duration {
	p := longestPause
	if n < 10 {
		p = min(firstPause<<max(n-1, 0), longestPause)
	}
	return p*3/4 + rand.N(p/2)
}
