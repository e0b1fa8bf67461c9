package credential

import (
	"syscall"
	"testing"
)

func TestHashesYieldToRequests(t *testing.T) {
	priority := func() int { // of this thread; the kernel says 20 - nice
		p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	usual, during := priority(), 0
	yielding(func() { during = priority() })
	if want := max(usual-lowered, 1); during != want {
		t.Errorf("a hash runs with priority %d, want %d", during, want)
	}
	for range 100 { // goroutines of others never come to its thread
		seen := make(chan int)
		go func() { seen <- priority() }()
		if got := <-seen; got != usual {
			t.Fatalf("after a hash, a goroutine runs with priority %d, want %d", got, usual)
		}
	}
}

func TestPanicOfAHashIsItsCallers(t *testing.T) {
	defer func() {
		if p := recover(); p != "out of bounds" {
			t.Errorf("recovered %v", p)
		}
	}()
	yielding(func() { panic("out of bounds") })
}
