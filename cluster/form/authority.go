package form

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// An Authority is the row of the cluster's certificate authority. Its key is wrapped under the root key.
type Authority struct {
	ClusterID string `cbor:"1,keyasint,omitempty"`
	Cert      []byte `cbor:"2,keyasint,omitempty"`
	SealedKey []byte `cbor:"3,keyasint,omitempty"`
}

var authorityKey = fsm.K("authority") // the only row

var authorities = fsm.NewTable(150, "cluster_authority", fsm.Spec[Authority]{
	Key: func(*Authority) fsm.Key { return authorityKey },
})

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{authorities}

func wrapAuthority(a *wire.Authority, root *seal.RootKey) (*Authority, error) {
	key, err := a.Key()
	if err != nil {
		return nil, fmt.Errorf("wrap cluster authority: %w", err)
	}
	id := a.ClusterID()
	box, err := root.Wrap(key, []byte("cluster authority "+id))
	if err != nil {
		return nil, fmt.Errorf("wrap cluster authority: %w", err)
	}
	return &Authority{ClusterID: id, Cert: a.Cert.Raw, SealedKey: box}, nil
}

func (a *Authority) unwrap(root *seal.RootKey) (*wire.Authority, error) {
	key, err := root.Unwrap(a.SealedKey, []byte("cluster authority "+a.ClusterID))
	if err != nil {
		return nil, fmt.Errorf("unwrap authority of cluster %s: %w", a.ClusterID, err)
	}
	w, err := wire.LoadAuthority(a.Cert, key)
	if err != nil {
		return nil, err
	}
	if w.ClusterID() != a.ClusterID {
		return nil, fmt.Errorf("authority of cluster %s names cluster %s", a.ClusterID, w.ClusterID())
	}
	return w, nil
}

// Issue signs the certificate request (PKCS #10) of a node. A request that is not to
// be signed is a wire.Fault with [CodeRefused].
func (a *Authority) Issue(request []byte, node string, root *seal.RootKey) ([]byte, error) {
	w, err := a.unwrap(root)
	if err != nil {
		return nil, err
	}
	cert, err := w.Issue(request, node, time.Now())
	if err != nil {
		return nil, &wire.Fault{Code: CodeRefused, Detail: err.Error()}
	}
	return cert, nil
}

// Store writes the authority in the cluster's first transaction, so that whoever
// leads can issue certificates.
func (a *Authority) Store(ctx context.Context, db *fsm.DB) error {
	row := *a
	return db.Update(ctx, func(tx *fsm.Tx) error {
		has, err := authorities.Has(tx, fsm.Global, authorityKey)
		if err != nil || has {
			return err
		}
		return authorities.Put(tx, &row)
	})
}

// StoredAuthority returns the authority as it stands in the store, or nil.
func StoredAuthority(ctx context.Context, db *fsm.DB) (*Authority, error) {
	var row *Authority
	err := db.View(ctx, func(tx *fsm.Tx) error {
		r, err := authorities.Get(tx, fsm.Global, authorityKey)
		row = r
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return row, err
}
