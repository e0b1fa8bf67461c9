package wave_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity/authn/wave"
)

// stuff has a list tried out, each line from a network of its own, at one node after the other.
func (h *house) stuff(t *testing.T) {
	t.Helper()
	for i := range 150 {
		h.guess(t, i%len(h.watch), apart(i), fmt.Sprint("name", i), fmt.Sprint("password", i))
	}
}

func TestStuffing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.stuff(t)
	h.settle(t)
	for i := range h.watch {
		if d := h.wait(t, i, apart(1000), "new", "x"); d != 0 {
			t.Errorf("node %d: a network that has done nothing waits %v", i, d)
		}
		if d := h.wait(t, i, apart(1000), "next", "y"); d < 4*time.Second || d > 5*time.Second {
			t.Errorf("node %d: its second attempt waits %v", i, d)
		}
		if d := h.wait(t, i, apart(1001), "new", "y"); d < 4*time.Second {
			t.Errorf("node %d: the same flow from another network waits %v", i, d)
		}
		w := h.watch[i]
		w.Passed(w.Guess(from(t, apart(1000)), ten, "new", "new", "x"))
		h.Pass(t, time.Second)
		if d := h.wait(t, i, apart(1000), "next", "y"); d != 0 {
			t.Errorf("node %d: after somebody signed in there, the next waits %v", i, d)
		}
	}
}

// among has so many networks come again and again for a minute, from the one numbered first on,
// and with each second after the calm ones a person for the first time. It returns how many of
// both were let through.
func (h *house) among(t *testing.T, networks, first, calm int) (people, bots int) {
	t.Helper()
	for second := range 60 {
		for i := range networks {
			if h.wait(t, 0, apart(first+i), fmt.Sprint("list", second, "-", i), fmt.Sprint("line", second, "-", i)) == 0 {
				bots++
			}
		}
		if second >= calm && h.wait(t, 0, apart(1000+second), fmt.Sprint("owner", second), fmt.Sprint("own", second)) == 0 {
			people++
		}
		h.Pass(t, time.Second)
	}
	return people, bots
}

// Networks that failed before have a pace of their own, and so have those that come again before
// they should: it would take an hour until ten thousand have failed. However often they come,
// whoever comes for the first time finds a turn.
func TestStuffingLeavesTurnsForTheFirstTime(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ networks, first, calm, people, bots int }{
		"had failed":  {60, 0, 0, 60, 61},
		"do not wait": {300, 2000, 20, 40, 81},
	} {
		h := newHouse(t, 1)
		h.stuff(t)
		if people, bots := h.among(t, c.networks, c.first, c.calm); people != c.people || bots > c.bots {
			t.Errorf("%d of %d people were let in, and %d guesses of networks that %s", people, c.people, bots, what)
		}
	}
}

func TestKnocksAreForgotten(t *testing.T) {
	t.Parallel()
	at := time.Now()
	var k wave.Knocks
	for i := range wave.Patience + 1 {
		if k.Many("a", at) {
			t.Errorf("%d times are many", i)
		}
		k.Note("a", at)
	}
	if !k.Many("a", at) || k.Many("b", at) {
		t.Error("one who does not wait is not told from one who has not come")
	}
	if !k.Many("a", at.Add(time.Minute)) || k.Many("a", at.Add(3*time.Minute)) {
		t.Error("it is forgotten too soon, or never")
	}
}

// A new network and a new page for each guess: a tenant has so many a minute at a node, more
// where people sign in, and codes are not among them.
func TestStuffingFromEverywhereIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	if d := wave.StrangersApart(0); d != time.Second {
		t.Errorf("%v apart", d)
	}
	if d := wave.StrangersApart(900); d != time.Second/2 {
		t.Errorf("%v apart where 900 have signed in", d)
	}
	for i := range 150 {
		if d := h.wait(t, 0, apart(i), fmt.Sprint("name", i), "x"); d != 0 && i < 100 {
			t.Errorf("before it is a wave, %d waits %v", i, d)
		}
		h.guess(t, 0, apart(i), fmt.Sprint("name", i), fmt.Sprint("password", i))
	}
	if !h.watch[0].Stuffed(ten) || h.watch[0].Stuffed("ten_other") {
		t.Error("it is not known for what it is, or where it is not")
	}
	h.Pass(t, time.Second)
	through := 0
	for i := range 100 {
		if h.wait(t, 0, apart(1000+i), fmt.Sprint("more", i), fmt.Sprint("password", i)) == 0 {
			through++
		}
	}
	if through != 1 {
		t.Errorf("%d of 100 at once are let through", through)
	}
	if d := h.wait(t, 0, apart(2000), "code", ""); d != 0 {
		t.Errorf("a code waits %v", d)
	}
}
