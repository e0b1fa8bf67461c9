package poll

import (
	"sync"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
)

const (
	// Interval is how long a client waits between two polls (RFC 8628, section 3.2).
	Interval = 5 * time.Second

	slower   = 5 * time.Second // more after each poll that came too early (RFC 8628, section 3.5)
	slowest  = time.Minute
	slack    = time.Second // a timer of the client's and the network's moods
	forget   = 2 * slowest
	maxPaces = 50_000
)

// A Pace tells which client polls faster than it was told. It is this node's own: a client
// whose polls are spread over three nodes may come three times as often before one of them
// says so, which costs a look at the local state each time and no log entry.
type Pace struct {
	mu    sync.Mutex
	polls map[family.ID]pace // guarded by mu
	swept time.Time          // guarded by mu
}

type pace struct {
	last     time.Time
	interval time.Duration
}

// NewPace returns a pace at which nobody has polled yet.
func NewPace() *Pace { return &Pace{polls: map[family.ID]pace{}} }

// Poll notes that the client of a wait asks at the time now, and reports whether it came
// too early; its interval is longer from then on. Only codes with a good MAC get here, so
// that strangers cannot fill the memory.
func (p *Pace) Poll(id family.ID, now time.Time) (early bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, known := p.polls[id]
	if !known {
		if len(p.polls) >= maxPaces {
			p.makeRoom(now)
		}
		a.interval = Interval
	} else if now.Sub(a.last) < a.interval-slack {
		early = true
		a.interval = min(a.interval+slower, slowest)
	}
	a.last = now
	p.polls[id] = a
	return early
}

// Done forgets a wait that is over.
func (p *Pace) Done(id family.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.polls, id)
}

// makeRoom forgets who has not polled for long, and any one if that is not enough: the
// worst that comes of it is that somebody is told once less to be slower. p.mu is held.
func (p *Pace) makeRoom(now time.Time) {
	if now.Sub(p.swept) >= time.Second {
		p.swept = now
		for id, a := range p.polls {
			if now.Sub(a.last) > forget {
				delete(p.polls, id)
			}
		}
	}
	for id := range p.polls {
		if len(p.polls) < maxPaces {
			return
		}
		delete(p.polls, id)
	}
}
