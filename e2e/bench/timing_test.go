package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestAdvantage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b []time.Duration
		want float64
	}{
		{[]time.Duration{1, 2, 3}, []time.Duration{1, 2, 3}, 0},
		{[]time.Duration{4, 5, 6}, []time.Duration{1, 2, 3}, 1},
		{[]time.Duration{1, 2, 3}, []time.Duration{4, 5, 6}, -1},
		{[]time.Duration{1, 3}, []time.Duration{2, 2}, 0},
		{[]time.Duration{2, 3}, []time.Duration{1, 2}, 0.75},
		{slices.Repeat([]time.Duration{5}, 100), slices.Repeat([]time.Duration{5}, 100), 0},
	} {
		if got := advantage(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
