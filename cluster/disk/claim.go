package disk

import (
	"errors"
	"fmt"
	"path/filepath"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// claimKey says in the log's file whose log it is. Entries alone do not: those of two
// clusters fit together without a gap.
var claimKey = []byte("quis member")

// Claim makes the log that of a node of a cluster, or reports whose it is.
func (l *Log) Claim(nodeID, clusterID string) error {
	mine := fmt.Sprintf("node %s of cluster %s", nodeID, clusterID)
	is, err := l.Get(claimKey)
	switch {
	case errors.Is(err, raftboltdb.ErrKeyNotFound), err == nil && len(is) == 0:
		return l.Set(claimKey, []byte(mine))
	case err != nil:
		return fmt.Errorf("read whose log it is: %w", err)
	case string(is) != mine:
		return fmt.Errorf("the log %s belongs to %s, but %s says %s: %s", l.path, is, filepath.Join(filepath.Dir(l.path), IdentityFile), mine, Apart)
	}
	return nil
}

// Unclaim makes the log, which must be empty, nobody's.
func (l *Log) Unclaim() error {
	if last, err := l.LastIndex(); err != nil || last > 0 {
		return fmt.Errorf("the log %s holds entries up to %d and stays what it is: %w", l.path, last, errors.Join(errors.New("not empty"), err))
	}
	return l.Set(claimKey, nil)
}

// Reclaim makes the log that of a node of a cluster, whosever it was: for a recovery,
// whose cluster is another than the one before.
func (l *Log) Reclaim(nodeID, clusterID string) error {
	return l.Set(claimKey, fmt.Appendf(nil, "node %s of cluster %s", nodeID, clusterID))
}

// Apart is what to do about a data directory that holds files of two nodes.
const Apart = "bring back the files of one node, or move the whole data directory away and start again with cluster.join"
