package notice

import (
	"errors"
	"fmt"
	"testing"
)

func TestHubHoldsAnIndexWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := NewHub()
	h.Reset(10)
	if _, err := h.Since(9, 0); !errors.Is(err, ErrCompacted) {
		t.Errorf("behind the floor: got %v", err)
	}
	if _, err := h.Since(11, 0); !errors.Is(err, ErrCompacted) {
		t.Errorf("ahead of the store: got %v", err)
	}
	first, err := h.Since(10, 0)
	if err != nil {
		t.Fatal(err)
	}
	const perIndex = 300
	index := uint64(10)
	for range 2 * Held / perIndex {
		index += 2 // some entries change nothing
		var changes []Change
		for i := range perIndex {
			changes = append(changes, Change{Index: index, Key: fmt.Sprint(i)})
		}
		h.Publish(index, changes)
	}
	<-first.Wake
	if len(h.changes) > Held+Held/4+perIndex || len(h.changes) < Held-perIndex {
		t.Errorf("holds %d changes", len(h.changes))
	}
	if _, err := h.Since(h.floor-1, 0); !errors.Is(err, ErrCompacted) {
		t.Errorf("behind the floor: got %v", err)
	}
	for from := h.floor; from <= index; from++ {
		tail, err := h.Since(from, first.Era)
		if err != nil || tail.UpTo != index {
			t.Fatalf("since %d: up to %d, %v", from, tail.UpTo, err)
		}
		if want := int(index-from+1) / 2 * perIndex; len(tail.Changes) != want {
			t.Fatalf("since %d: %d changes, want %d", from, len(tail.Changes), want)
		}
	}
	h.Reset(index + 100)
	if _, err := h.Since(index+100, first.Era); !errors.Is(err, ErrCompacted) {
		t.Errorf("after a reset: got %v", err)
	}
	h.Publish(index+101, make([]Change, 3*Held)) // one entry larger than all that is held
	h.Close()
	if _, err := h.Since(index+100, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: got %v", err)
	}
}
