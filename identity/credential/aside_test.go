package credential

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// kind is how the kernel schedules this thread: policy, and priority as 20 - nice.
func kind(t *testing.T) [2]int {
	t.Helper()
	policy, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if errno != 0 || err != nil {
		t.Fatal(errno, err)
	}
	return [2]int{int(policy), priority}
}

func TestHashesYieldToRequests(t *testing.T) {
	p, usual := NewPool(Config{}, nil), kind(t)
	var steps [][2]int
	three := func(*argon2.Memory) bool { steps = append(steps, kind(t)); return len(steps)%3 != 0 }

	p.aside(ours, three, nil)
	for i, got := range steps {
		if got[0] != schedIdle {
			t.Errorf("step %d of a hash runs with policy %d, want %d", i, got[0], schedIdle)
		}
	}
	p.aside("bcrypt", three, nil)
	for i, got := range steps[3:] {
		if want := [2]int{usual[0], max(usual[1]-lowered, 1)}; got != want {
			t.Errorf("step %d of another system's hash runs with policy and priority %v, want %v", i, got, want)
		}
	}
	if len(steps) != 6 {
		t.Errorf("%d steps were taken, want 6", len(steps))
	}
	for range 100 { // goroutines of others never come to its thread
		seen := make(chan [2]int)
		go func() { seen <- kind(t) }()
		if got := <-seen; got != usual {
			t.Fatalf("after a hash, a goroutine runs with policy and priority %v, want %v", got, usual)
		}
	}
}

// TestStarvedHashIsTakenUp: one that waits for a core goes on with more weight, from where it
// was, and the next begin with it, for a while.
func TestStarvedHashIsTakenUp(t *testing.T) {
	p := NewPool(Config{}, nil)
	var policies []int
	waits := func(*argon2.Memory) bool {
		policies = append(policies, kind(t)[0])
		if len(policies) == 2 { // as if others had the cores
			<-time.After(unhurried + time.Millisecond)
		}
		return len(policies)%4 != 0
	}
	usual := kind(t)[0]
	p.aside(ours, waits, nil)
	p.aside(ours, waits, nil)
	p.starved.Add(-int64(afterwards))
	p.aside(ours, waits, nil)
	want := []int{schedIdle, schedIdle, usual, usual, usual, usual, usual, usual, schedIdle, schedIdle, schedIdle, schedIdle}
	if diff := cmp.Diff(want, policies); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func TestPanicOfAHashIsItsCallers(t *testing.T) {
	defer func() {
		if p := recover(); p != "out of bounds" {
			t.Errorf("recovered %v", p)
		}
	}()
	NewPool(Config{}, nil).aside(ours, func(*argon2.Memory) bool { panic("out of bounds") }, nil)
}
