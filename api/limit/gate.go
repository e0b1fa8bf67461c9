package limit

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// A Gate is what strangers go through on their way to being told to wait, a few at a time:
// when thousands arrive each second, whatever else the node does finds at most those few at
// work before it, not as many as there are connections. Inside nothing may be waited for; the
// caller leaves before that.
//
// After somebody behind whom others wait it stays shut for a while. Go's scheduler asks the
// network who else has come when it has nothing left to run, or each ten milliseconds: while one
// stranger hands over to the next, everybody else would wait for that.
//
// It makes strangers slow, and refuses those who find very many before them.
type Gate struct {
	room chan struct{}

	mu      sync.Mutex
	waiting int
	from    map[string]int // of these, those of one network
}

// maxWaiting bounds those before a gate: a second of its work. It is long, since whoever waits asks
// for nothing else meanwhile: who was refused at once came again at once, and cost more.
const maxWaiting = 4096

// maxFrom bounds those of one network, who would otherwise take everybody's place.
const maxFrom = 256

// ErrFull is that of somebody who finds too many before them.
var ErrFull = errors.New("too many wait")

// A pause is as long as what it follows, so that strangers have half of their room's time, within these.
const (
	shortestPause = 100 * time.Microsecond
	longestPause  = time.Millisecond // what was held longer waited for its processor itself
)

// NewGate returns a gate with so much room; 0: as much as half of the processors.
func NewGate(room int) *Gate {
	if room == 0 {
		room = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Gate{room: make(chan struct{}, room), from: map[string]int{}}
}

// Enter waits for room, which the caller, of some network, has until it leaves; that may be said
// twice. An error is that of ctx, or ErrFull.
func (g *Gate) Enter(ctx context.Context, network string) (leave func(), err error) {
	if !g.line(network, 1) {
		return nil, ErrFull
	}
	defer g.line(network, -1)
	select {
	case g.room <- struct{}{}:
		entered := time.Now()
		return sync.OnceFunc(func() { g.free(time.Since(entered)) }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// line adds n to those who wait, unless they would be too many.
func (g *Gate) line(network string, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > 0 && (g.waiting >= maxWaiting || g.from[network] >= maxFrom) {
		return false
	}
	g.waiting += n
	if g.from[network] += n; g.from[network] == 0 {
		delete(g.from, network)
	}
	return true
}

// free makes room for the next, which was taken for held: now, or after a pause if somebody waits.
func (g *Gate) free(held time.Duration) {
	if g.Waiting() == 0 {
		<-g.room
		return
	}
	time.AfterFunc(min(max(held, shortestPause), longestPause), func() { <-g.room })
}

// Leaving is w for an answer inside a gate, which is left before the first byte is sent: how
// long an answer takes is up to who takes it.
func Leaving(w http.ResponseWriter, leave func()) http.ResponseWriter { return leaving{w, leave} }

type leaving struct {
	http.ResponseWriter
	leave func()
}

func (l leaving) WriteHeader(status int) {
	l.leave()
	l.ResponseWriter.WriteHeader(status)
}

func (l leaving) Write(b []byte) (int, error) {
	l.leave()
	return l.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (l leaving) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// Leave leaves the gate in which w answers, if there is one, for what may take long.
func Leave(w http.ResponseWriter) {
	if l, ok := w.(leaving); ok {
		l.leave()
	}
}

// Waiting is how many wait for room.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
