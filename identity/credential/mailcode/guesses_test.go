package mailcode

import (
	"encoding/binary"
	"testing"
)

// Whoever tries as many codes as there is room for shuts nobody out, and until then no code is forgotten.
func TestTheOldestGivesWay(t *testing.T) {
	t.Parallel()
	g := guesses{of: map[[stateID]byte]int{}}
	id := func(n int) (id [stateID]byte) {
		binary.BigEndian.PutUint64(id[:], uint64(n))
		return id
	}
	for range maxGuesses {
		if !g.take(id(0)) {
			t.Fatal("fewer than five guesses")
		}
	}
	for n := 1; n < maxStates; n++ {
		if !g.take(id(n)) {
			t.Fatalf("state %d: no room", n)
		}
	}
	if g.take(id(0)) {
		t.Error("a sixth guess, while there was room")
	}
	for n := maxStates; n < 3*maxStates; n++ {
		if !g.take(id(n)) {
			t.Fatalf("state %d: no room", n)
		}
	}
	if len(g.of) != maxStates || len(g.order) != maxStates {
		t.Errorf("%d states are remembered, %d in order", len(g.of), len(g.order))
	}
}
