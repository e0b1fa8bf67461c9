package pace

import "testing"

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64 // MiB
		want int
	}{{0, 300}, {4, 300}, {8, 150}, {12, 100}, {16, 100}, {1000, 100}} {
		if got := gcPercent(c.live << 20); got != c.want {
			t.Errorf("%d MiB alive: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}

// TestProcessors: never so many that the collector has no whole one.
func TestProcessors(t *testing.T) {
	for n, want := range map[int]int{2: 4, 3: 4, 4: 4, 5: 5, 6: 7, 12: 12} {
		if got := processors(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}
