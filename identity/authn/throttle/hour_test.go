package throttle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity/event"
)

// A town is a cluster whose nodes count attempts, and a time in which nobody has to wait for anything.
type town struct {
	*fsmtest.Cluster
	t        *testing.T
	nodes    []*Attempts
	flushed  time.Time
	networks int // so many were new
}

const ten = "ten_default"

func newTown(t *testing.T, n int) *town {
	h := &town{Cluster: fsmtest.NewCluster(t, n, slices.Concat(Tables, event.Tables)...), t: t}
	for range n {
		h.nodes = append(h.nodes, New(1000))
	}
	h.Pass(t, 0)
	return h
}

func (h *town) now() time.Time { return h.DB[0].Now() }

// pass lets time go by, in which each node writes what it has counted, every two seconds.
func (h *town) pass(d time.Duration) {
	h.t.Helper()
	for end := h.now().Add(d); ; {
		left := end.Sub(h.now())
		for i, a := range h.nodes {
			if p := a.Take(); !p.Empty() && h.now().Sub(h.flushed) >= 2*time.Second {
				if err := h.DB[i].Update(h.t.Context(), p.Write); err != nil {
					h.t.Fatal(err)
				}
				a.Written(p)
			} else if a.Restore(p); !p.Empty() {
				left = min(left, time.Second)
			}
		}
		if h.now().Sub(h.flushed) >= 2*time.Second {
			h.flushed = h.now()
		}
		if left <= 0 {
			return
		}
		h.Pass(h.t, left)
	}
}

// try makes an attempt at a node, which fails if it is a guess, or says how long it has to wait.
func (h *town) try(node int, name, network string, guess bool) time.Duration {
	h.t.Helper()
	name = Typed + name
	sources := []Source{{Tenant: ten, Name: name, From: network}, {Tenant: ten, Name: name, From: Everywhere}}
	if err := h.DB[node].View(h.t.Context(), func(tx *fsm.Tx) error { return LoadAll(tx, sources) }); err != nil {
		h.t.Fatal(err)
	}
	a, wait := h.nodes[node].Admit(sources, h.now())
	switch {
	case wait > 0:
	case guess:
		h.nodes[node].Fail(a, Kind{Tenant: ten, Reason: "wrong"}, Failure{})
	default:
		h.nodes[node].Release(a)
	}
	return wait
}

// guess makes as many guesses at names, each from a network of its own, through all nodes, as there may be now. It returns
// when there were some, and how long it is until there may be another.
func (h *town) guess(names ...string) (made []time.Time, wait time.Duration) {
	wait = time.Hour
	for _, name := range names {
		for node := range h.nodes {
			for {
				h.networks++
				if d := h.try(node, name, fmt.Sprint("network ", h.networks), true); d > 0 {
					wait = min(wait, d)
					break
				}
				made = append(made, h.now())
			}
		}
	}
	return made, wait
}

// No more than a hundred guesses in any hour come through at one account (OWASP ASVS 4.0.3, V2.2.1), by its username and
// its address together, from as many networks as somebody likes, whatever their pace: as fast as they may, or resting
// until it is forgotten that there were many.
func TestAHundredAnHour(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 2, 3} {
		for name, rests := range map[string]func(i int) bool{
			"never rests": func(int) bool { return false }, "always rests": func(int) bool { return true },
			"rests first": func(i int) bool { return i == 0 }, "rests at times": func(i int) bool { return i%4 == 0 },
		} {
			t.Run(fmt.Sprint(nodes, " nodes, who guesses ", name), func(t *testing.T) {
				t.Parallel()
				h := newTown(t, nodes)
				var all []time.Time
				for begun, slow := h.now(), 0; h.now().Sub(begun) < 4*time.Hour; {
					made, wait := h.guess("ann", "ann@example.com")
					all = append(all, made...)
					switch {
					case wait < time.Minute || len(made) > 0:
						h.pass(time.Second)
						continue
					case rests(slow):
						wait = forgetFailures + 3*time.Second
					}
					slow++
					h.pass(wait)
				}
				most, first := 0, 0
				for i, at := range all {
					for at.Sub(all[first]) >= time.Hour {
						first++
					}
					most = max(most, i-first+1)
				}
				if t.Logf("%d guesses in four hours, at most %d in one", len(all), most); most > 100 {
					t.Errorf("%d guesses in one hour", most)
				}
			})
		}
	}
}

// Somebody with few networks keeps nobody out, who comes from another and waits as told, always too late by a moment: by one network
// nobody is told to wait for more than half a minute.
func TestWhoWaitsGetsIn(t *testing.T) {
	t.Parallel()
	for networks, most := range map[int]time.Duration{1: longestAnywhere, 2: longestNetwork} {
		t.Run(fmt.Sprint(networks), func(t *testing.T) {
			t.Parallel()
			h := newTown(t, 3)
			stranger := func() (wait time.Duration) {
				wait = time.Hour
				for node := range h.nodes {
					for i := range networks {
						for {
							if d := h.try(node, "ann", fmt.Sprint("network ", i), true); d > 0 {
								wait = min(wait, d)
								break
							}
						}
					}
				}
				return max(wait, time.Second)
			}
			var longest time.Duration
			for begun := h.now(); h.now().Sub(begun) < 6*time.Hour; {
				comes := h.now()
				back := comes // when ann was told to come again
				for h.now().Sub(comes) < 2*longestNetwork {
					next := stranger()
					if !h.now().Before(back) {
						told := h.try(0, "ann", "network of ann", false)
						if told == 0 {
							break
						}
						back = h.now().Add(told)
					}
					h.pass(max(time.Second/10, min(next, back.Sub(h.now()))))
				}
				longest = max(longest, h.now().Sub(comes))
				h.pass(7 * time.Second)
			}
			if t.Logf("who waits as told gets in after %v at most", longest); longest > most+5*time.Second {
				t.Errorf("ann waited for %v, want %v at most", longest, most)
			}
		})
	}
}
