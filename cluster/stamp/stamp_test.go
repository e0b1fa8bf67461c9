package stamp

import (
	"testing"
	"time"
)

func TestMedianOutvotesWrongClocks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	base := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	reading := func(off time.Duration) Reading { return Read(base.Add(off), now, now.Add(2*time.Millisecond)) }
	const h, m5 = time.Hour, 5 * time.Minute
	for _, c := range []struct {
		name   string
		own    time.Duration
		others []time.Duration
		state  time.Duration // the state's time less the right one
		want   time.Duration
	}{
		{"alone", h, nil, -time.Second, h},
		{"leader an hour ahead", h, []time.Duration{0, 0}, -time.Second, 0},
		{"leader an hour behind", -h, []time.Duration{0, 0}, -time.Second, 0},
		{"leader five minutes ahead", m5, []time.Duration{0, 0}, -time.Second, 0},
		{"a follower five minutes behind", 0, []time.Duration{-m5, 0}, -time.Second, 0},
		{"followers wrong both ways", 0, []time.Duration{-h, h}, -time.Second, 0},
		{"leader ahead, one voter unknown", h, []time.Duration{0}, -time.Second, 0},
		{"leader behind, one voter unknown", -h, []time.Duration{0}, -time.Second, 0},
		{"follower behind, one voter unknown", 0, []time.Duration{-h}, -time.Second, 0},
		{"follower ahead, one voter unknown", 0, []time.Duration{h}, -time.Second, 0},
		{"two of five wrong", h, []time.Duration{h, 0, 0, 0}, -time.Second, 0},
	} {
		var others []Reading
		for _, o := range c.others {
			others = append(others, reading(o))
		}
		got := Median(base.Add(c.own), now, others, base.Add(c.state)).Sub(base)
		if (got - c.want).Abs() > 2*time.Millisecond {
			t.Errorf("%s: off by %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOwnClockStandsWithinTheError(t *testing.T) {
	t.Parallel()
	now, base := time.Now(), time.Unix(1e9, 0)
	slow := []Reading{Read(base.Add(90*time.Millisecond), now, now), Read(base.Add(90*time.Millisecond), now, now.Add(400*time.Millisecond))}
	if got := Median(base, now, slow[1:], base); !got.Equal(base) {
		t.Errorf("corrected by %v within the error", got.Sub(base))
	}
	if got := Median(base, now, []Reading{slow[0], slow[0]}, base); !got.After(base) {
		t.Error("not corrected beyond the error")
	}
}

func TestUnknownClocksAreLeftOut(t *testing.T) {
	t.Parallel()
	now, base := time.Now(), time.Unix(1e9, 0)
	if got := Median(base, now, make([]Reading, 4), base); !got.Equal(base) {
		t.Errorf("corrected by %v from nothing", got.Sub(base))
	}
}

func TestReadingsAreCarriedOn(t *testing.T) {
	t.Parallel()
	now, base := time.Now(), time.Unix(1e9, 0)
	r := Read(base, now, now)
	if got := r.At(now.Add(time.Hour)); got.Sub(base) != time.Hour {
		t.Errorf("an hour later it shows %v more", got.Sub(base))
	}
	vague := Read(base.Add(time.Second), now.Add(time.Second), now.Add(2*time.Second))
	if r.Better(vague) != r {
		t.Error("an exact reading was replaced by a vague one")
	}
	set := Read(base.Add(time.Hour), now.Add(time.Second), now.Add(2*time.Second))
	if r.Better(set) != set || !r.SetBefore(set) || r.SetBefore(vague) {
		t.Error("that a clock was set was not seen")
	}
	late := Read(base.Add(time.Minute), now.Add(time.Minute), now.Add(62*time.Second))
	if r.Better(late) != late || (Reading{}).Better(vague) != vague {
		t.Error("an old reading was kept")
	}
}

func TestStampsDoNotGoBack(t *testing.T) {
	t.Parallel()
	var c Clock
	base := time.Unix(1e9, 0)
	last := c.Next(base, 0, time.Time{})
	for i, wall := range []time.Duration{time.Second, -time.Hour, time.Hour, 5 * time.Minute, -5 * time.Minute} {
		passed := time.Duration(i+1) * time.Second
		next := c.Next(base.Add(wall), passed, base)
		if !next.After(last) {
			t.Errorf("step %d: %v after %v", i, next, last)
		}
		last = next
	}
	if state := last.Add(time.Hour); !c.Next(base, time.Minute, state).Equal(state) {
		t.Error("stamp before the state's time")
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	var c Clock
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	wall, state, passed := began, time.UnixMilli(0), time.Duration(0)
	step := func(what string, by, jump time.Duration, want time.Time) {
		t.Helper()
		passed += by
		wall = wall.Add(by + jump)
		got := c.Next(wall, passed, state)
		if !got.Equal(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		if got.Before(state) {
			t.Errorf("%s: time went back", what)
		}
		state = got
	}
	step("first", 0, 0, began)
	step("goes with the clock", time.Second, 0, began.Add(time.Second))
	step("clock set back an hour", time.Second, -time.Hour, began.Add(1500*time.Millisecond))
	step("half as fast", 10*time.Minute, 0, began.Add(5*time.Minute+1500*time.Millisecond))
	step("until the clock has caught up", 3*time.Hour, 0, wall.Add(3*time.Hour))
	state = state.Add(time.Minute)
	step("another leader was ahead", time.Second, 0, state)
}
