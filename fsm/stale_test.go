package fsm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// "There is nothing to delete" leaves no batch that the log could refuse. On a replica
// that lags it must not be a success while the row is there.
func TestNothingToWriteIsNotDecidedByAStaleReplica(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, people)
	c.Pause(1)
	if err := c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		return people.Insert(tx, &person{ID: "a", Email: "a@example.com"})
	}); err != nil {
		t.Fatal(err)
	}
	entries := c.Entries()
	purge := func(ctx context.Context) (gone int, at uint64, err error) {
		err = c.DB[1].Update(ctx, func(tx *fsm.Tx) error {
			gone = 0
			for p, err := range people.List(tx, fsm.Global) {
				if err != nil {
					return err
				}
				if err := people.Delete(tx, fsm.Global, fsm.K(p.ID)); err != nil {
					return err
				}
				gone++
			}
			tx.OnCommit(func(index uint64) { at = index })
			return nil
		})
		return gone, at, err
	}
	if gone, _, err := purge(t.Context()); err != nil || gone != 1 {
		t.Errorf("a row that was acknowledged before was not seen: %d deleted, %v", gone, err)
	}
	if c.Entries() != entries+1 {
		t.Errorf("%d entries, want %d", c.Entries(), entries+1)
	}
	// Now there is nothing, which costs no entry, but a leader who says so.
	if gone, at, err := purge(t.Context()); err != nil || gone != 0 || at == 0 || c.Entries() != entries+1 {
		t.Errorf("%d deleted at %d, %v, %d entries", gone, at, err, c.Entries())
	}
	c.SetLeader(false)
	if _, _, err := purge(t.Context()); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("without a leader: %v", err)
	}
	// Nothing read, nothing to be stale.
	if err := c.DB[1].Update(t.Context(), func(*fsm.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}
