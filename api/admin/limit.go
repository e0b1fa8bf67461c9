package admin

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limitedKeys is how many keys one generation of a limiter remembers.
const limitedKeys = 8192

// A limiter bounds how often something may happen per key, in bounded memory: keys live
// in two generations, and those that the older one alone knows are forgotten with it.
type limiter struct {
	perSecond rate.Limit
	burst     int

	mu         sync.Mutex // guards the generations
	young, old map[string]*rate.Limiter
}

func newLimiter(perSecond rate.Limit, burst int) *limiter {
	return &limiter{perSecond: perSecond, burst: burst, young: map[string]*rate.Limiter{}}
}

func (l *limiter) of(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.young[key]
	if ok {
		return r
	}
	if r, ok = l.old[key]; !ok {
		r = rate.NewLimiter(l.perSecond, l.burst)
	}
	if len(l.young) >= limitedKeys {
		l.old, l.young = l.young, map[string]*rate.Limiter{}
	}
	l.young[key] = r
	return r
}

// take counts one for key and returns 0, or how long it must wait instead.
func (l *limiter) take(key string) time.Duration {
	r := l.of(key)
	if r.Allow() {
		return 0
	}
	missing := 1 - r.Tokens()
	return max(time.Duration(missing/float64(l.perSecond)*float64(time.Second)), time.Millisecond)
}
