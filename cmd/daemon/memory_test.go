package daemon

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64 // MiB
		want int
	}{{0, 300}, {4, 300}, {8, 150}, {12, 100}, {16, 75}, {1000, 75}} {
		if got := gcPercent(c.live << 20); got != c.want {
			t.Errorf("%d MiB alive: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}
