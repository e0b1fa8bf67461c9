package cluster

import (
	"errors"
	"fmt"
	"path/filepath"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// claimKey says in the log's file whose log it is. Entries alone do not: those of two
// clusters fit together without a gap.
var claimKey = []byte("quis member")

// claim makes the log that of id, or reports whose it is.
func (l *logStore) claim(id *identity) error {
	mine := fmt.Sprintf("node %s of cluster %s", id.nodeID, id.clusterID)
	is, err := l.Get(claimKey)
	switch {
	case errors.Is(err, raftboltdb.ErrKeyNotFound):
		return l.Set(claimKey, []byte(mine))
	case err != nil:
		return fmt.Errorf("read whose log it is: %w", err)
	case string(is) != mine:
		return fmt.Errorf("the log %s belongs to %s, but %s says %s: %s", l.path, is, filepath.Join(filepath.Dir(l.path), identityFile), mine, apart)
	}
	return nil
}

const apart = "bring back the files of one node, or move the whole data directory away and start again with cluster.join"
