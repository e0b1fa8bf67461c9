package daemon

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64 // MiB
		want int
	}{{0, 600}, {4, 600}, {8, 300}, {24, 100}, {32, 75}, {1000, 75}} {
		if got := gcPercent(c.live << 20); got != c.want {
			t.Errorf("%d MiB alive: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}
