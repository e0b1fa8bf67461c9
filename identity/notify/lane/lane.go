// Package lane is what waits to be sent by this node, in a lane for each tenant: nobody's slow
// server, and nobody's flood, holds up what is sent for others.
//
// A [Queue] holds so many jobs in all and of one tenant, and works on so many at once, of
// those that belong together on one; what is too much is not taken. It keeps nothing across a
// restart: what matters beyond that is a row.
//
// Not here: what a job is, and what is worth another attempt, which its worker says.
package lane

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Config says how much a Queue takes; all but Delay, Grace and Of must be set.
type Config[J any] struct {
	Waiting, WaitingEach int // jobs that are not done, in all and of one tenant
	Width, WidthEach     int // worked on at once, in all and for one tenant

	Delay func() time.Duration // before work on a job begins; nil: none
	Grace time.Duration        // for what waits when Run ends

	// Of says whose a job is, within its tenant: one of theirs is worked on at once, and the others
	// wait without holding up those behind them. nil: nobody's.
	Of func(j *J) string

	// Work takes one job as far as it goes. again says after how long it is to be tried again;
	// 0: it is done with.
	Work func(ctx context.Context, j *J) (again time.Duration)
}

// A Queue holds what waits, in a lane for each tenant.
type Queue[J any] struct {
	cfg Config[J]

	mu      sync.Mutex
	ctx     context.Context // of the workers; nil: Run does not run
	cancel  context.CancelFunc
	closing chan struct{} // closed when the node stops
	lanes   map[string]*lane[J]
	waiting int
	flying  int
	all     sync.WaitGroup
}

// A lane is what waits for one tenant.
type lane[J any] struct {
	jobs    []*J
	waiting int // jobs that are not done: these, those that fly, and those whose time has not come
	flying  int
	busy    map[string]bool // whose jobs fly; see Config.Of
}

// New returns a Queue. It panics if it could take nothing.
func New[J any](c Config[J]) *Queue[J] {
	if min(c.Waiting, c.WaitingEach, c.Width, c.WidthEach) < 1 || c.Work == nil {
		panic("lane: incomplete configuration")
	}
	return &Queue[J]{cfg: c, lanes: map[string]*lane[J]{}, closing: make(chan struct{})}
}

// Add takes a job for a tenant and returns at once, or reports that there is no room.
func (q *Queue[J]) Add(tenant string, j J) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[tenant]
	if q.waiting >= q.cfg.Waiting || l != nil && l.waiting >= q.cfg.WaitingEach {
		return false
	}
	if l == nil {
		l = &lane[J]{busy: map[string]bool{}}
		q.lanes[tenant] = l
	}
	l.waiting++
	q.waiting++
	if q.cfg.Delay == nil {
		l.jobs = append(l.jobs, &j)
		q.start(l)
		return true
	}
	q.all.Go(func() {
		select {
		case <-time.After(q.cfg.Delay()):
		case <-q.closing:
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		l.jobs = append(l.jobs, &j)
		q.start(l)
	})
	return true
}

// again puts a job in line whose time has come once more, unless the node stops.
func (q *Queue[J]) again(l *lane[J], j *J) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-q.closing:
	default:
		l.jobs = append(l.jobs, j)
		q.start(l)
	}
}

// start works on what l has room for. q.mu is held.
func (q *Queue[J]) start(l *lane[J]) {
	for q.ctx != nil && l.flying < q.cfg.WidthEach && q.flying < q.cfg.Width {
		j := q.next(l)
		if j == nil {
			return
		}
		l.flying++
		q.flying++
		ctx := q.ctx
		q.all.Go(func() { q.fly(ctx, l, j) })
	}
}

// next takes the first job of l whose turn it is; nil: there is none. q.mu is held.
func (q *Queue[J]) next(l *lane[J]) *J {
	for i, j := range l.jobs {
		if q.cfg.Of != nil {
			of := q.cfg.Of(j)
			if l.busy[of] {
				continue
			}
			l.busy[of] = true
		}
		l.jobs = slices.Delete(l.jobs, i, i+1)
		return j
	}
	return nil
}

func (q *Queue[J]) fly(ctx context.Context, l *lane[J], j *J) {
	again := q.cfg.Work(ctx, j)
	q.mu.Lock()
	defer q.mu.Unlock()
	l.flying--
	q.flying--
	if q.cfg.Of != nil {
		delete(l.busy, q.cfg.Of(j))
	}
	if again > 0 { // it keeps its place among those that wait, but holds up no other
		time.AfterFunc(again, func() { q.again(l, j) })
	} else {
		l.waiting--
		q.waiting--
	}
	for tenant, l := range q.lanes { // in no order: nobody is always the last
		q.start(l)
		if l.waiting == 0 {
			delete(q.lanes, tenant)
		}
	}
}

// Run works on what Add took until ctx ends, and then for the grace on what waits; what waits
// longer is lost.
func (q *Queue[J]) Run(ctx context.Context) {
	q.open(ctx)
	<-ctx.Done()
	q.close()
}

func (q *Queue[J]) open(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, l := range q.lanes {
		q.start(l)
	}
}

// close works on what it can within the grace: people have been told that it was sent.
func (q *Queue[J]) close() {
	q.mu.Lock()
	close(q.closing)
	q.mu.Unlock()
	done := make(chan struct{})
	go func() {
		q.all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(q.cfg.Grace):
	}
	q.mu.Lock()
	q.ctx = nil
	q.mu.Unlock()
	q.cancel()
	<-done
}
