package fetch

import (
	"context"
	"sync"
	"time"
)

const (
	maxTotal   = 32   // requests under way
	maxPerHost = 4    // of them to one host
	maxWaiting = 64   // that wait for one host
	maxHosts   = 4096 // that are remembered
)

// A pace is how often one host is asked: a burst, then one for each interval. Without an
// interval there is none.
type pace struct {
	burst int
	every time.Duration
}

// A gate bounds how many requests are under way, so that neither a slow host nor
// whoever makes us ask it takes all places, and nobody can aim us at a third party.
type gate struct {
	pace  pace
	total chan struct{}

	mu    sync.Mutex
	hosts map[string]*queue // guarded by mu
}

// A queue stands before one host.
type queue struct {
	places chan struct{}
	inside int       // waiting or under way
	full   time.Time // when its burst will be whole again
}

func newGate(p pace) *gate {
	return &gate{pace: p, total: make(chan struct{}, maxTotal), hosts: map[string]*queue{}}
}

// enter waits for a place, as long as ctx allows. The host's place is taken first: who
// waits for a slow host holds none of the others back.
func (g *gate) enter(ctx context.Context, host string) (leave func(), err error) {
	q, err := g.join(host, time.Now())
	if err != nil {
		return nil, err
	}
	busy := &Error{Kind: ErrBusy, Detail: "too many requests to it are under way"}
	select {
	case q.places <- struct{}{}:
	case <-ctx.Done():
		g.part(q)
		return nil, busy
	}
	select {
	case g.total <- struct{}{}:
	case <-ctx.Done():
		<-q.places
		g.part(q)
		return nil, busy
	}
	return func() { <-g.total; <-q.places; g.part(q) }, nil
}

func (g *gate) join(host string, now time.Time) (*queue, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.hosts[host]
	if q == nil {
		if len(g.hosts) >= maxHosts {
			g.sweep(now)
		}
		if len(g.hosts) >= maxHosts {
			return nil, &Error{Kind: ErrBusy, Detail: "too many hosts were asked lately"}
		}
		q = &queue{places: make(chan struct{}, maxPerHost)}
		g.hosts[host] = q
	}
	if q.inside >= maxWaiting {
		return nil, &Error{Kind: ErrBusy, Detail: "too many requests to it are under way"}
	}
	if g.pace.every > 0 {
		at := now
		if q.full.After(now) {
			at = q.full
		}
		if at = at.Add(g.pace.every); at.Sub(now) > time.Duration(g.pace.burst)*g.pace.every {
			return nil, &Error{Kind: ErrBusy, Detail: "it was asked too often lately"}
		}
		q.full = at
	}
	q.inside++
	return q, nil
}

func (g *gate) part(q *queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q.inside--
}

// sweep forgets hosts that nobody waits for and that may be asked at will. g.mu is held.
func (g *gate) sweep(now time.Time) {
	for host, q := range g.hosts {
		if q.inside == 0 && !q.full.After(now) {
			delete(g.hosts, host)
		}
	}
}
