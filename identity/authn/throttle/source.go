package throttle

import (
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// How failures slow down further attempts. Delays, not locks: a lock would let
// anybody shut anybody out. DESIGN.md of identity/authn says what the figures come to, and
// TestAHundredAnHour and TestWhoWaitsGetsIn hold them to it.
const (
	freeFailures = 5               // before the first delay
	longestDelay = 5 * time.Minute // for a known browser, and of codes for whoever has proved the rest

	longestNetwork  = 45 * time.Minute // at a name that was typed, for one network: longer than forgetFailures
	longestAnywhere = 30 * time.Second // the same from everywhere together, known browsers left out
	freeInWave      = 2                // the same, while lists are tried out
	manyFailures    = 20               // the same, more than one network makes,
	manyDelay       = 7 * time.Minute  // and what each takes from then on

	forgetFailures = 40 * time.Minute // after the last one
	forgetNetwork  = time.Hour        // the same, where longestNetwork counts

	maxTallies = 50_000 // sources remembered in memory for strangers
)

// What a source can be.
const (
	Everywhere = "*"       // From: all strangers together
	Device     = "device " // From, and its nonce: a browser in which the user has signed in before
	Typed      = "login "  // Name, and which: it was typed, so anybody can guess there
)

var (
	failures = fsm.NewCounter(82, "signin_failures")
	failedAt = fsm.NewCounter(83, "signin_failed_at") // milliseconds since 1970
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{failures, failedAt}

// A Source is one place where failures for one name are counted.
type Source struct {
	Tenant, Name, From string
	Wave               bool // lists are being tried out in the tenant

	count int64 // as the store knew it
	last  time.Time
}

func (s *Source) key() fsm.Key { return fsm.K(s.Name, s.From) }

// Known reports whether an attempt that counts there comes from a browser in which its user has
// signed in before.
func Known(sources []Source) bool {
	return len(sources) > 0 && strings.HasPrefix(sources[0].From, Device)
}

// LoadAll reads what the store knows of sources.
func LoadAll(tx *fsm.Tx, sources []Source) error {
	for i := range sources {
		if err := sources[i].load(tx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) load(tx *fsm.Tx) error {
	n, err := failures.Get(tx, fsm.Scope(s.Tenant), s.key())
	if err != nil {
		return err
	}
	at, err := failedAt.Get(tx, fsm.Scope(s.Tenant), s.key())
	s.count, s.last = n, time.UnixMilli(at)
	return err
}

// Reset forgives a source from which the user has now signed in. What was tried
// from everywhere stays: the owner's success says nothing about the others.
func (s *Source) Reset(tx *fsm.Tx) error {
	if s.count == 0 || s.From == Everywhere {
		return nil
	}
	if err := failures.Delete(tx, fsm.Scope(s.Tenant), s.key()); err != nil {
		return err
	}
	return failedAt.Delete(tx, fsm.Scope(s.Tenant), s.key())
}

// delay is how long after the last of n failures the next attempt may come.
func (s *Source) delay(n int64) time.Duration {
	free, longest := int64(freeFailures), longestDelay
	switch {
	case !strings.HasPrefix(s.Name, Typed):
	case s.From != Everywhere:
		longest = longestNetwork
	case n >= manyFailures:
		return manyDelay
	default:
		longest = longestAnywhere
		if s.Wave {
			free = freeInWave
		}
	}
	if n < free {
		return 0
	}
	return min(time.Second<<min(n-free, 20), longest)
}

// forget is how long after the last failure a source is forgotten.
func (k tallyKey) forget() time.Duration {
	if strings.HasPrefix(k.name, Typed) && k.from != Everywhere {
		return forgetNetwork
	}
	return forgetFailures
}
