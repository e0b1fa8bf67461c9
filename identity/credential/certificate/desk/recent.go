package desk

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quis-idp/quis/identity/credential/certificate"
)

// maxRecent bounds the certificates that this node remembers to have asked about.
const maxRecent = 1000

// recent is what this node has just been told of certificates, and what it is asking: who posts one
// step many times has the authority asked once in justNow. The zero value is ready to use.
type recent struct {
	mu    sync.Mutex
	asked map[which]*asked
}

// which certificate it is.
type which struct{ tenant, authority, print string }

// asked is one question.
type asked struct {
	done chan struct{} // closed when there is an answer
	at   time.Time     // of it
	err  error         // nil, or *certificate.Refused: what else went wrong is forgotten
}

// once returns what ask says of w, or what it said less than justNow ago.
func (r *recent) once(ctx context.Context, w which, now func() time.Time, ask func() error) error {
	for {
		a, mine := r.take(w, now())
		if mine {
			return r.settle(w, a, now, ask)
		}
		if a == nil { // no room to remember it
			return ask()
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if a.known() {
			return a.err
		}
	}
}

// take returns the question about w that is under way or was answered just now. mine: there was none, and
// the caller has to ask.
func (r *recent) take(w which, now time.Time) (a *asked, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a = r.asked[w]; a != nil && !a.over(now) {
		return a, false
	}
	if len(r.asked) >= maxRecent {
		for w, a := range r.asked {
			if a.over(now) {
				delete(r.asked, w)
			}
		}
	}
	if len(r.asked) >= maxRecent {
		return nil, false
	}
	if r.asked == nil {
		r.asked = map[which]*asked{}
	}
	a = &asked{done: make(chan struct{}), err: errUnknown}
	r.asked[w] = a
	return a, true
}

// settle asks, and leaves the answer to those who wait for it. If there is none,
// one of them asks again.
func (r *recent) settle(w which, a *asked, now func() time.Time, ask func() error) error {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if a.at = now(); !a.known() {
			delete(r.asked, w)
		}
		close(a.done)
	}()
	a.err = ask()
	return a.err
}

// over reports whether an answer is too old. recent.mu is held.
func (a *asked) over(now time.Time) bool {
	select {
	case <-a.done:
		return now.Sub(a.at) >= justNow
	default:
		return false
	}
}

var errUnknown = errors.New("not asked")

// known reports whether there is an answer, once done is closed.
func (a *asked) known() bool {
	_, refused := errors.AsType[*certificate.Refused](a.err)
	return a.err == nil || refused
}
