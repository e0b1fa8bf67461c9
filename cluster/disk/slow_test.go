package disk

import (
	"testing"
	"time"
)

// TestSlowIsMoreThanAHiccup: a disk is slow when it keeps its writers waiting, not when it did once.
func TestSlowIsMoreThanAHiccup(t *testing.T) {
	t.Parallel()
	const limit = slowDefault
	// stuck is one write that takes so long, as the looks see it.
	stuck := func(d *drag, long time.Duration) {
		for age := pollEvery / 2; age < long; age += pollEvery {
			d.look(age, limit)
		}
		d.look(0, limit)
	}
	var d drag
	slow := func(what string, want bool) {
		t.Helper()
		if got := d.slow.Load() > 0; got != want {
			t.Errorf("%s: slow: %v, want %v", what, got, want)
		}
	}
	stuck(&d, time.Second)
	slow("one hiccup of a second", false)
	stuck(&d, time.Second)
	slow("a second one at once", false)
	for range looks {
		d.look(0, limit)
	}
	stuck(&d, 1700*time.Millisecond)
	slow("one of 1.7 s", false)
	for range looks {
		d.look(10*time.Millisecond, limit)
	}
	stuck(&d, 2*time.Second)
	d.look(300*time.Millisecond, limit)
	d.look(550*time.Millisecond, limit)
	slow("two of 2 s, as soon as the second drags on", true)
	if got := time.Duration(d.slow.Load()); got < 1800*time.Millisecond {
		t.Errorf("a write takes %v, want nearly 2 s", got)
	}
	for range looks / 2 {
		d.look(0, limit)
	}
	slow("not long enough good", true)
	for range looks / 2 {
		d.look(0, limit)
	}
	slow("good again", false)
	for range 2 * looks { // writes of 200 ms, one after another
		d.look(100*time.Millisecond, limit)
	}
	slow("busy, but not slow", false)
}
