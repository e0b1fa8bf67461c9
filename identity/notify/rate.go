package notify

import (
	"sync"
	"time"
)

// How much mail strangers can cause on each node: a burst at once, then one for each
// interval. An address is somebody's who may not have asked for any of it.
var (
	perAddress = rate{burst: 4, every: 3 * time.Minute} // from one network, or in one browser of the person's
	perMailbox = rate{burst: 12, every: time.Minute}    // from all networks, or in all browsers of the person's
	perNetwork = rate{burst: 20, every: 20 * time.Second}
	perTenant  = rate{burst: 300, every: time.Second}
)

// A rate allows a burst at once, and after that one more for each interval.
type rate struct {
	burst int
	every time.Duration
}

const maxRated = 50_000 // keys that are remembered

// rates remember for each key when its burst will be whole again (GCRA). Strangers choose
// the keys, so there is room for so many; when it is used up, who is not known must wait.
type rates struct {
	mu   sync.Mutex
	full map[string]time.Time // guarded by mu
}

// take counts all keys, or none if one of them must wait.
func (r *rates) take(now time.Time, keys map[string]rate) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]time.Time{}
	for key, rate := range keys {
		at := r.full[key]
		if at.Before(now) {
			at = now
		}
		if at = at.Add(rate.every); at.Sub(now) > time.Duration(rate.burst)*rate.every {
			return false
		}
		next[key] = at
	}
	if len(r.full)+len(next) > maxRated {
		for key, at := range r.full {
			if !at.After(now) {
				delete(r.full, key)
			}
		}
		if len(r.full)+len(next) > maxRated {
			return false
		}
	}
	for key, at := range next {
		r.full[key] = at
	}
	return true
}
