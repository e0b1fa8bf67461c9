package authn

import "time"

// Remembered is how many sources and kinds of failure are in memory.
func (fs *Flows) Remembered() (sources, kinds int) { return fs.attempts.InMemory() }

// Age moves every failure that is in memory into the past.
func (fs *Flows) Age(d time.Duration) { fs.attempts.Age(d) }
