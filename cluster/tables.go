package cluster

import (
	"fmt"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// authorityRow is the cluster's certificate authority. Its key is wrapped under the root key.
type authorityRow struct {
	ClusterID string `cbor:"1,keyasint,omitempty"`
	Cert      []byte `cbor:"2,keyasint,omitempty"`
	SealedKey []byte `cbor:"3,keyasint,omitempty"`
}

var authorityKey = fsm.K("authority") // the only row

var authorities = fsm.NewTable(150, "cluster_authority", fsm.Spec[authorityRow]{
	Key: func(*authorityRow) fsm.Key { return authorityKey },
})

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{authorities}

func wrapAuthority(a *wire.Authority, root *seal.RootKey) (*authorityRow, error) {
	key, err := a.Key()
	if err != nil {
		return nil, fmt.Errorf("wrap cluster authority: %w", err)
	}
	id := a.ClusterID()
	box, err := root.Wrap(key, []byte("cluster authority "+id))
	if err != nil {
		return nil, fmt.Errorf("wrap cluster authority: %w", err)
	}
	return &authorityRow{ClusterID: id, Cert: a.Cert.Raw, SealedKey: box}, nil
}

func (r *authorityRow) unwrap(root *seal.RootKey) (*wire.Authority, error) {
	key, err := root.Unwrap(r.SealedKey, []byte("cluster authority "+r.ClusterID))
	if err != nil {
		return nil, fmt.Errorf("unwrap authority of cluster %s: %w", r.ClusterID, err)
	}
	a, err := wire.LoadAuthority(r.Cert, key)
	if err != nil {
		return nil, err
	}
	if a.ClusterID() != r.ClusterID {
		return nil, fmt.Errorf("authority of cluster %s names cluster %s", r.ClusterID, a.ClusterID())
	}
	return a, nil
}
