package notify

import (
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 5 * time.Second
	longestPause = 30 * time.Minute
)

// pause is how long to wait after the nth attempt at a notice failed: twice as long each
// time, and up to a quarter more or less, so that what failed together does not come back
// together.
func pause(n int) time.Duration {
	p := longestPause
	if n < 10 {
		p = min(firstPause<<max(n-1, 0), longestPause)
	}
	return p*3/4 + rand.N(p/2)
}

// retryPause is the same for codes and links, which nobody wants late. Many servers put off
// who comes for the first time (greylisting), and take it a little later.
func retryPause(n int) time.Duration {
	if n < 2 {
		return 2 * time.Second
	}
	return 15 * time.Second
}
