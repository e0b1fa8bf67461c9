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
		{0, Passwords, "network x", false, 0}, {4, Passwords, "network x", false, 0}, {5, Passwords, "network x", false, time.Second},
		{6, Passwords, "network x", false, 2 * time.Second}, {10, Passwords, "network x", false, 32 * time.Second},
		{14, Passwords, "network x", false, 5 * time.Minute}, {1 << 40, Passwords, "network x", false, 5 * time.Minute},
		{49, Passwords, Everywhere, false, 0}, {50, Passwords, Everywhere, false, time.Second}, {54, Passwords, Everywhere, false, 16 * time.Second},
		{55, Passwords, Everywhere, false, 30 * time.Second}, {1 << 40, Passwords, Everywhere, false, 30 * time.Second},
		{4, Passwords, Everywhere, true, 0}, {5, Passwords, Everywhere, true, time.Second},
		{5, "mail x", Everywhere, false, time.Second}, {1 << 40, "mail x", Everywhere, false, 5 * time.Minute}, // of codes there are a million
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
