package limit

import (
	"fmt"
	"testing"
	"time"
)

func clocked(rate Rate) (*Limiter, *time.Time) {
	now := time.Unix(1_800_000_000, 0)
	l := New(rate)
	l.now = func() time.Time { return now }
	return l, &now
}

func TestLimiterAllowsABurstThenARate(t *testing.T) {
	t.Parallel()
	l, now := clocked(Rate{Burst: 3, Every: 10 * time.Second})
	for i := range 3 {
		if wait := l.Take("a"); wait != 0 {
			t.Fatalf("attempt %d waits %v", i, wait)
		}
	}
	if wait := l.Take("a"); wait != 10*time.Second {
		t.Errorf("fourth attempt waits %v, want 10s", wait)
	}
	if wait := l.Take("b"); wait != 0 {
		t.Errorf("another key waits %v", wait)
	}
	*now = now.Add(4 * time.Second)
	if wait := l.Take("a"); wait != 6*time.Second {
		t.Errorf("waits %v, want 6s: being refused must not lengthen the wait", wait)
	}
	*now = now.Add(6 * time.Second)
	if wait := l.Take("a"); wait != 0 {
		t.Errorf("waits %v after its time", wait)
	}
	if wait := l.Take("a"); wait == 0 {
		t.Error("two attempts where the rate allows one")
	}
}

func TestLimiterGivesBack(t *testing.T) {
	t.Parallel()
	l, _ := clocked(Rate{Burst: 2, Every: time.Minute})
	for i := range 20 {
		if wait := l.Take("a"); wait != 0 {
			t.Fatalf("attempt %d waits %v although all before were given back", i, wait)
		}
		l.GiveBack("a")
	}
	if len(l.full) != 0 {
		t.Errorf("%d keys remembered, none is owed anything", len(l.full))
	}
	l.Take("a")
	l.Take("a")
	l.GiveBack("a")
	if l.Take("a") != 0 || l.Take("a") == 0 {
		t.Error("giving one back must allow exactly one")
	}
	l.GiveBack("never seen")
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l, now := clocked(Rate{Burst: 2, Every: time.Minute})
	l.Take("victim")
	l.Take("victim")
	for i := range maxKeys + 500 {
		l.Take(fmt.Sprint(i))
	}
	if len(l.full) > maxKeys {
		t.Errorf("%d keys remembered, at most %d wanted", len(l.full), maxKeys)
	}
	if l.Take("victim") == 0 {
		t.Error("a flood of keys freed one that was held back")
	}
	*now = now.Add(time.Hour)
	l.Take("new")
	if len(l.full) != 1 {
		t.Errorf("%d keys remembered after an hour, want 1", len(l.full))
	}
}
