package throttle

import (
	"testing"
	"time"
)

func TestDelaysGrowAndAreCapped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    int64
		name string
		from string
		wave bool
		want time.Duration
	}{
		{0, Typed, "network x", false, 0}, {4, Typed, "network x", false, 0}, {5, Typed, "network x", false, time.Second},
		{6, Typed, "network x", false, 2 * time.Second}, {10, Typed, "network x", false, 32 * time.Second},
		{15, Typed, "network x", false, 1024 * time.Second}, {1 << 40, Typed, "network x", false, 45 * time.Minute},
		{4, Typed, Everywhere, false, 0}, {5, Typed, Everywhere, false, time.Second}, {9, Typed, Everywhere, false, 16 * time.Second},
		{10, Typed, Everywhere, false, 30 * time.Second}, {19, Typed, Everywhere, false, 30 * time.Second},
		{20, Typed, Everywhere, false, 7 * time.Minute}, {1 << 40, Typed, Everywhere, false, 7 * time.Minute},
		{1, Typed, Everywhere, true, 0}, {2, Typed, Everywhere, true, time.Second}, {20, Typed, Everywhere, true, 7 * time.Minute},
		{5, "second x", Everywhere, false, time.Second}, {1 << 40, "second x", Everywhere, false, 5 * time.Minute}, // who is asked for it has proved the rest
		{1 << 40, "usr_x", Device + "x", false, 5 * time.Minute},
	} {
		s := Source{Name: c.name, From: c.from, Wave: c.wave}
		if got := s.delay(c.n); got != c.want {
			t.Errorf("%s from %s after %d (wave %v): %v, want %v", c.name, c.from, c.n, c.wave, got, c.want)
		}
	}
}

// Strangers have room for so many attempts under way; whoever is known comes in beside them.
func TestStrangersHaveRoomForSoMany(t *testing.T) {
	t.Parallel()
	a, now := New(2), time.Now()
	stranger := func(name string) []Source {
		return []Source{{Name: name, From: "network x"}, {Name: name, From: Everywhere}}
	}
	one, wait := a.Admit(stranger("one"), now)
	if _, wait2 := a.Admit(stranger("two"), now); wait != 0 || wait2 != 0 || !a.Full() {
		t.Fatalf("%v, %v, full: %v", wait, wait2, a.Full())
	}
	if _, wait := a.Admit(stranger("three"), now); wait <= 0 {
		t.Error("a third stranger comes in")
	}
	if known, wait := a.Admit([]Source{{Name: "ann", From: Device + "nonce"}}, now); wait != 0 || known.Stranger {
		t.Errorf("who is known: %+v, %v", known, wait)
	}
	a.Release(one)
	if _, wait := a.Admit(stranger("three"), now); wait != 0 {
		t.Errorf("with room: %v", wait)
	}
}
