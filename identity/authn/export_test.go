package authn

import (
	"time"
)

// DelayAfter is the delay after n failures from one network, or from everywhere.
func DelayAfter(n int64, anywhere bool) time.Duration {
	s := source{name: passwordName, from: "network x"}
	if anywhere {
		s.from = everywhere
	}
	return s.delay(n)
}

// Remembered is how many tallies and kinds of failure are in memory.
func (fs *Flows) Remembered() (tallies, kinds int) {
	fs.attempts.mu.Lock()
	defer fs.attempts.mu.Unlock()
	return len(fs.attempts.tallies), len(fs.attempts.failed)
}

// Age moves every failure that is in memory into the past.
func (fs *Flows) Age(d time.Duration) {
	fs.attempts.mu.Lock()
	defer fs.attempts.mu.Unlock()
	for _, t := range fs.attempts.tallies {
		t.last = t.last.Add(-d)
	}
}
