package fsm

import (
	"errors"
	"fmt"
	"testing"
)

func TestHubHoldsAnIndexWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := newHub()
	h.reset(10)
	if _, err := h.since(9, 0); !errors.Is(err, ErrCompacted) {
		t.Errorf("behind the floor: got %v", err)
	}
	if _, err := h.since(11, 0); !errors.Is(err, ErrCompacted) {
		t.Errorf("ahead of the store: got %v", err)
	}
	first, err := h.since(10, 0)
	if err != nil {
		t.Fatal(err)
	}
	const perIndex = 300
	index := uint64(10)
	for range 2 * changesHeld / perIndex {
		index += 2 // some entries change nothing
		var changes []change
		for i := range perIndex {
			changes = append(changes, change{index: index, key: fmt.Sprint(i)})
		}
		h.publish(index, changes)
	}
	<-first.wake
	if len(h.changes) > changesHeld+changesHeld/4+perIndex || len(h.changes) < changesHeld-perIndex {
		t.Errorf("holds %d changes", len(h.changes))
	}
	if _, err := h.since(h.floor-1, 0); !errors.Is(err, ErrCompacted) {
		t.Errorf("behind the floor: got %v", err)
	}
	for from := h.floor; from <= index; from++ {
		tail, err := h.since(from, first.era)
		if err != nil || tail.upTo != index {
			t.Fatalf("since %d: up to %d, %v", from, tail.upTo, err)
		}
		if want := int(index-from+1) / 2 * perIndex; len(tail.changes) != want {
			t.Fatalf("since %d: %d changes, want %d", from, len(tail.changes), want)
		}
	}
	h.reset(index + 100)
	if _, err := h.since(index+100, first.era); !errors.Is(err, ErrCompacted) {
		t.Errorf("after a reset: got %v", err)
	}
	h.publish(index+101, make([]change, 3*changesHeld)) // one entry larger than all that is held
	h.close()
	if _, err := h.since(index+100, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: got %v", err)
	}
}

func TestWatchersAreToldOfEveryChange(t *testing.T) {
	t.Parallel()
	db := openMem(t)
	tail, err := db.hub.since(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	key := dataKey(1, Global, K("k"))
	_, err = db.Apply([]Entry{
		entryOf(1, newBatch(1, op{kind: opPut, key: key, expires: testTime.UnixMilli()}).encode()),
		entryOf(2, newBatch(2, op{kind: opPurge, expires: maxMillis, delta: 1}).encode()),
		entryOf(3, newBatch(3, op{kind: opAdd, key: key, delta: 1}).encode()),
		entryOf(4, newBatch(4, op{kind: opDelete, key: key}).encode()),
	})
	if err != nil {
		t.Fatal(err)
	}
	<-tail.wake
	tail, err = db.hub.since(0, tail.era)
	if err != nil || len(tail.changes) != 4 || tail.upTo != 4 {
		t.Fatalf("got %+v, %v", tail, err)
	}
	for i, c := range tail.changes {
		if c.index != uint64(i+1) || c.key != string(key) {
			t.Errorf("change %d: %+v", i, c)
		}
	}
}
