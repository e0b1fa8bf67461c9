package form

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// An Authority is the row of the cluster's certificate authority. Its key is wrapped under
// the root key. What is behind the third field is there only during a rotation and after
// one; the release before rotations reads the first three.
type Authority struct {
	ClusterID string `cbor:"1,keyasint,omitempty"`
	Cert      []byte `cbor:"2,keyasint,omitempty"` // signs
	SealedKey []byte `cbor:"3,keyasint,omitempty"`

	Next       []byte `cbor:"4,keyasint,omitempty"` // is trusted already and shall sign
	NextSealed []byte `cbor:"5,keyasint,omitempty"`
	Former     []byte `cbor:"6,keyasint,omitempty"` // is still trusted and signs no more
	Revision   uint64 `cbor:"7,keyasint,omitempty"` // counts the steps of all rotations; nobody goes back
	Since      int64  `cbor:"8,keyasint,omitempty"` // when it came to this revision, in Unix milliseconds

	After []string `cbor:"9,keyasint,omitempty"` // the clusters that it was recovered from
}

var authorityKey = fsm.K("authority") // the only row

var authorities = fsm.NewTable(150, "cluster_authority", fsm.Spec[Authority]{
	Key: func(*Authority) fsm.Key { return authorityKey },
	Own: true,
})

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{authorities, tickets, revocations}

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

// issuer returns the certificate that signs now.
func (a *Authority) issuer() (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(a.Cert)
	if err != nil {
		return nil, fmt.Errorf("authority of cluster %s: %w", a.ClusterID, err)
	}
	return c, nil
}

// trusted returns every certificate whose signature counts now, the one that signs first.
func (a *Authority) trusted() ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, raw := range [][]byte{a.Cert, a.Next, a.Former} {
		if len(raw) == 0 && len(out) > 0 {
			continue
		}
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fmt.Errorf("authority of cluster %s: %w", a.ClusterID, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Admit is Issue for a node of which the store may say that its name was given away before.
func (a *Authority) Admit(ctx context.Context, db *fsm.DB, request []byte, node string, root *seal.RootKey, life time.Duration) ([]byte, error) {
	n, err := admissionNumber(ctx, db, node)
	if err != nil {
		return nil, err
	}
	return a.issueAs(request, node, n, root, life)
}

// Issue signs the certificate request (PKCS #10) of a node, for life. A request that is
// not to be signed is a wire.Fault with [CodeRefused].
func (a *Authority) Issue(request []byte, node string, root *seal.RootKey, life time.Duration) ([]byte, error) {
	return a.issueAs(request, node, 0, root, life)
}

func (a *Authority) issueAs(request []byte, node string, admission uint64, root *seal.RootKey, life time.Duration) ([]byte, error) {
	w, err := a.unwrap(root)
	if err != nil {
		return nil, err
	}
	cert, err := w.IssueAs(request, node, admission, time.Now(), life)
	if err != nil {
		return nil, &wire.Fault{Code: CodeRefused, Detail: err.Error()}
	}
	return cert, nil
}

// Store writes the authority in the cluster's first transaction, so that whoever
// leads can issue certificates, and again over one that is older than what this node
// already goes by: that of a backup which was restored.
func (a *Authority) Store(ctx context.Context, db *fsm.DB) error {
	row := *a
	return db.Update(ctx, func(tx *fsm.Tx) error {
		old, err := authorities.Get(tx, fsm.Global, authorityKey)
		if err == nil && old.Revision >= row.Revision || err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		if err == nil && old.ClusterID != row.ClusterID { // recovered: what admitted nodes to the former admits nobody here
			if err := forgetFormer(tx); err != nil {
				return err
			}
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
