package disk

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/fsm"
)

// A Guard stands before the log of a node whose store was restored and sees whether the
// cluster agreed.
//
// A backup that is restored burns one index of the log: there is no entry at it, the
// store simply stands there. If the leader falls before a majority has installed it, the
// next leader gives that index to an entry of its own, in a later term, and the nodes
// that have the backup must go back to what they had: the store keeps it until the log
// has gone on. Raft alone would pass that entry over and apply the next ones to the
// backup, which is a state that never was.
type Guard struct {
	raft.LogStore
	db    *fsm.DB
	fatal func(error)
}

// NewGuard returns log behind a guard of db. fatal is told that the node must start
// again, on the older store.
func NewGuard(log raft.LogStore, db *fsm.DB, fatal func(error)) *Guard {
	return &Guard{LogStore: log, db: db, fatal: fatal}
}

// StoreLog stores one entry.
func (g *Guard) StoreLog(e *raft.Log) error { return g.StoreLogs([]*raft.Log{e}) }

// StoreLogs refuses an entry that contradicts an unsettled restore, and undoes the restore.
func (g *Guard) StoreLogs(entries []*raft.Log) error {
	if index, term, ok := g.db.Unsettled(); ok {
		for _, e := range entries {
			if e.Index <= index && e.Term > term { // terms never go back along a log
				err := fmt.Errorf("the cluster did not agree on the state restored at log index %d (its leader fell too early): this node has gone back to the one before and must start again: %w", index, g.db.Undo())
				g.fatal(err)
				return err
			}
		}
	}
	return g.LogStore.StoreLogs(entries)
}
