package wave

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// A Guess is an attempt to sign in, as far as it matters here.
type Guess struct {
	tenant, name, flow string
	from               [kinds]string // empty: not known
}

// A Watch counts the guesses of this node, knows those of the others, and says who must wait.
// It is safe for concurrent use.
type Watch struct {
	db   *fsm.DB
	ring *seal.Ring
	node string // of this process, told from all others

	mu     sync.Mutex                  // guards everything below
	own    map[string]map[int64]*sheet // by tenant and window
	others map[string]*sums            // by tenant: what is stored, but what own has
	paces  paces
	knocks knocks

	held  *prometheus.CounterVec
	under *prometheus.GaugeVec
}

// New returns a Watch whose metrics are registered with reg, which may be nil.
func New(db *fsm.DB, ring *seal.Ring, reg prometheus.Registerer) *Watch {
	w := &Watch{
		db: db, ring: ring, node: rand.Text()[:10], own: map[string]map[int64]*sheet{}, others: map[string]*sums{},
		held: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "quis_signin_held_total", Help: "Attempts to sign in that had to wait because many names were being guessed at, by what they had in common.",
		}, []string{"rule"}),
		under: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "quis_signin_waves", Help: "Tenants in which many names are being guessed at, by kind. Every node knows of all.",
		}, []string{"kind"}),
	}
	for _, name := range append(kindNames[:], Stuffing) {
		w.held.WithLabelValues(name)
	}
	for _, kind := range Kinds {
		w.under.WithLabelValues(kind)
	}
	if reg != nil {
		reg.MustRegister(w.held, w.under)
	}
	return w
}

// Guess is an attempt at name, under whatever a name is counted, in a flow, by the request of
// ctx. An empty secret: it is not by password.
func (w *Watch) Guess(ctx context.Context, tenant, flow, name, secret string) Guess {
	r := identity.RequestFrom(ctx)
	g := Guess{tenant: tenant, flow: flow, name: name}
	g.from[network], g.from[around] = r.Network(), r.Neighbourhood()
	if secret != "" {
		g.from[password] = w.bucket(tenant, secret)
	}
	return g
}

// bucket tells passwords apart a little: twelve bits of a MAC.
func (w *Watch) bucket(tenant, secret string) string {
	sum, err := w.ring.MAC("guessed password", w.ring.CurrentKey(), []byte(tenant+"\x00"+secret))
	if err != nil { // there is no key yet, so nobody can sign in either
		return ""
	}
	return strconv.Itoa(int(binary.BigEndian.Uint16(sum[:])) % buckets)
}

// Admit lets a guess go on, or says how long it must wait: at most a minute. Being refused does
// not prolong the wait. It reads nothing but memory.
func (w *Watch) Admit(g Guess) time.Duration {
	now := w.db.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	var wait time.Duration
	var why string
	var keep []string
	ask := func(rule, key string, apart time.Duration) {
		if apart == 0 {
			return
		}
		keep = append(keep, key)
		if d := w.paces.last(key).Add(apart).Sub(now); d > wait {
			wait, why = d, rule
		}
	}
	all, networks := w.all(g.tenant, now)
	for k, from := range g.from {
		if from != "" {
			ask(kindNames[k], g.key(k), pace(k, w.sum(g, k, now), all))
		}
	}
	apart := stuffing(all, networks)
	ask(Stuffing, g.key(network), apart)
	if ask(Stuffing, "flow "+g.flow, apart); apart > 0 && g.from[password] != "" { // whoever has a new page and network for each
		pool := " strangers"
		if w.sum(g, network, now).Failed > 0 || w.knocks.many(g.key(network), now) { // so that these take nobody's turn who comes for the first time
			pool = " strangers who failed or do not wait"
		}
		before := wait
		if ask(Stuffing, g.tenant+pool, strangersApart(w.passed(g.tenant, now))); wait > before {
			wait = comeAgain
		}
	}
	if wait > 0 {
		w.held.WithLabelValues(why).Inc()
		if apart > 0 {
			w.knocks.note(g.key(network), now)
		}
		return wait
	}
	for _, key := range keep {
		w.paces.note(key, now)
	}
	return 0
}

func (g Guess) key(kind int) string { return g.tenant + " " + kindNames[kind] + " " + g.from[kind] }

// all is what was counted in a tenant. w.mu is held.
func (w *Watch) all(tenant string, now time.Time) (all tally, networks int64) {
	if o := w.others[tenant]; o != nil {
		all, networks = o.all, o.networks
	}
	for at, s := range w.own[tenant] {
		if counts(at, now) {
			all.add(s.all)
			networks += s.networks
		}
	}
	return all, networks
}

// passed is how many names were signed in to at this node. w.mu is held.
func (w *Watch) passed(tenant string, now time.Time) (n int64) {
	for at, s := range w.own[tenant] {
		if counts(at, now) {
			n += s.all.Passed
		}
	}
	return n
}

// Stuffed reports whether lists are being tried out in a tenant.
func (w *Watch) Stuffed(tenant string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return stuffing(w.all(tenant, w.db.Now())) > 0
}

// sum is what was counted of one of a guess's sources. w.mu is held.
func (w *Watch) sum(g Guess, kind int, now time.Time) (t tally) {
	if o := w.others[g.tenant]; o != nil {
		t = o.by[kind][g.from[kind]]
	}
	for at, s := range w.own[g.tenant] {
		if counts(at, now) {
			t.add(s.by[kind][g.from[kind]])
		}
	}
	return t
}

// Failed counts a guess that was wrong, of a browser that is not known.
func (w *Watch) Failed(g Guess) { w.count(g, false) }

// Passed counts an attempt that was right, and lets the next one of its network come at once.
func (w *Watch) Passed(g Guess) { w.count(g, true) }

func (w *Watch) count(g Guess, passed bool) {
	at := windowOf(w.db.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.own[g.tenant][at]
	if s == nil {
		if w.own[g.tenant] == nil {
			w.own[g.tenant] = map[int64]*sheet{}
		}
		for _, past := range w.own[g.tenant] {
			past.seen = nil
		}
		s = newSheet()
		w.own[g.tenant][at] = s
	}
	if s.seen != nil {
		s.count(g, passed)
	}
	if passed {
		w.paces.forget(g.key(network))
		w.paces.forget("flow " + g.flow)
	}
}
