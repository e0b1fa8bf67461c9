package fsm_test

import (
	"errors"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// asked waits for the checkpoint that db was asked for.
func asked(t *testing.T, db *fsm.DB, index uint64) fsm.Checkpoint {
	t.Helper()
	for {
		cp, ok, err := db.CheckpointFrom(index)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return cp
		}
	}
}

// TestReplicasHashWhereTheyAreTold: at rest, before the entry comes, and too late.
// With invariant 5: equal hash chain and equal content at an equal index.
func TestReplicasHashWhereTheyAreTold(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, schema...)
	a, b := c.DB[0], c.DB[1]
	update(t, a, put(&link{ID: "x"}))
	at := a.Position().Index
	one, two := asked(t, a, at), asked(t, b, at)
	if one.Hash != two.Hash || one.Chain != two.Chain || one.Index != at || two.Index != at {
		t.Errorf("at rest: %+v and %+v", one, two)
	}
	_, hash, err := a.StateHash()
	if err != nil || hash != one.Hash {
		t.Errorf("the state hashes otherwise: %v", err)
	}
	for _, db := range c.DB {
		if _, ok, err := db.CheckpointFrom(at + 2); ok || err != nil {
			t.Fatalf("before the entry: %v, %v", ok, err)
		}
	}
	c.Pause(1)
	for i := range 5 {
		update(t, a, put(&link{ID: "y", Tags: []string{string(rune('a' + i))}}))
	}
	c.Resume(t, 1) // all of them in one Apply
	one, two = asked(t, a, at+2), asked(t, b, at+2)
	if one.Hash != two.Hash || one.Index != at+2 || two.Index != at+2 || one.Hash == hash {
		t.Errorf("under way: %+v and %+v", one, two)
	}
	if _, _, err := a.CheckpointFrom(at + 3); !errors.Is(err, fsm.ErrPassed) {
		t.Errorf("too late: %v, want ErrPassed", err)
	}
}
