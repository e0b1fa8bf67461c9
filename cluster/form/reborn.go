package form

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/wire"
)

// revisionLeap is by how much the authority of a recovered cluster is ahead of the former
// one, which may still be rotated or rewrapped in the moment before it is replaced.
const revisionLeap = 16

// Recovered writes into node.json of a stopped node that it is to go on as another
// cluster, and returns that one's ID. What needs the root key is done when the node
// starts. Until then it returns the same ID again.
func Recovered(dir string) (clusterID string, err error) {
	path := filepath.Join(dir, disk.IdentityFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("node identity: %w", err)
	}
	var f identityJSON
	if err := json.Unmarshal(raw, &f); err != nil {
		return "", damagedIdentity(path, err)
	}
	if f.RecoveredAs != "" {
		return f.RecoveredAs, nil
	}
	f.RecoveredAs = newClusterID()
	if raw, err = json.MarshalIndent(f, "", "  "); err == nil {
		err = replaceFile(path, raw)
	}
	if err != nil {
		return "", fmt.Errorf("save node identity: %w", err)
	}
	return f.RecoveredAs, nil
}

// reborn gives a node that was recovered the authority and the identity of its new
// cluster: no certificate of the former one counts there, and none of its own in the
// former. row is the former's authority in the store, if there is one.
func (s *Self) reborn(old *Identity, row *Authority) (*Identity, error) {
	w, err := wire.NewAuthority(old.recoveredAs, time.Now())
	if err != nil {
		return nil, err
	}
	a, err := wrapAuthority(w, s.cfg.Root)
	if err != nil {
		return nil, err
	}
	before := &old.secret.Authority
	a.After = append(slices.Clone(before.After), old.ClusterID)
	a.Revision = before.Revision + revisionLeap
	if row != nil {
		a.Revision = max(a.Revision, row.Revision+revisionLeap)
	}
	id, err := issueIdentity(s.cfg.NodeID, a, s.cfg.Root, s.cfg.CertLife)
	if err != nil {
		return nil, err
	}
	if err := id.Save(s.cfg.DataDir, s.cfg.Root); err != nil {
		return nil, err
	}
	id.wrappedUnder = s.cfg.Root.ID()
	s.cfg.Logger.Info("this node was recovered and goes on as another cluster", "cluster", id.ClusterID, "former", old.ClusterID)
	return id, nil
}

// mine says whether the authority's row in the store is of the identity's cluster, or of
// one that it was recovered from and that the next leader replaces.
func (id *Identity) mine(row *Authority) bool {
	return row.ClusterID == id.ClusterID || slices.Contains(id.secret.Authority.After, row.ClusterID)
}

// replaced is why a node of a cluster that was recovered without it must not go on.
func (s *Self) replaced(h hello) error {
	return fmt.Errorf("cluster %s, to which the data directory %s belongs, was recovered without this node: node %s at %s goes on as cluster %s. Empty the data directory and join again",
		s.id.Load().ClusterID, s.cfg.DataDir, h.NodeID, h.Address, h.ClusterID)
}

const watchEvery = time.Second

// Watch asks members that are silent, by the root key, whether they are still of this
// node's cluster, until ctx ends, and gives to end what says that this node cannot go on:
// its certificate counts nowhere any more, and nobody could tell it otherwise.
func (s *Self) Watch(ctx context.Context, silent func() (addresses []string), end func(error)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, at := range silent() {
			h, err := s.greetOne(ctx, at)
			if err == nil && slices.Contains(h.After, s.id.Load().ClusterID) {
				end(s.replaced(h))
				return
			}
			if err == nil && h.Void {
				end(s.Removed())
				return
			}
		}
	}
}
