package cluster

import (
	"fmt"
	"testing"
)

func TestAnyNodeWritesAndReadsItsOwnWrite(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for i, r := range h.rooms {
		for k := range 5 {
			id, want := fmt.Sprintf("%d-%d", i, k), fmt.Sprintf("text %d", k)
			if err := put(r.db, id, want); err != nil {
				t.Fatal(err)
			}
			if got := text(r.db, id); got != want {
				t.Fatalf("node %d reads %q after writing %q", i, got, want)
			}
		}
	}
	h.sameState()
}
