package form

import (
	"errors"
	"fmt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

func (a *Authority) context() []byte { return []byte("cluster authority " + a.ClusterID) }

// boxes are what is wrapped under the root key.
func (a *Authority) boxes() []*[]byte {
	var out []*[]byte
	for _, b := range []*[]byte{&a.SealedKey, &a.NextSealed} {
		if len(*b) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// rewrap brings the keys in the row under root's key in use, and reports whether that was news.
func (a *Authority) rewrap(root *seal.RootKey) (news bool, err error) {
	for _, b := range a.boxes() {
		box, changed, err := root.Rewrap(*b, a.context())
		if err != nil {
			return false, fmt.Errorf("authority of cluster %s: none of the root keys of this node opens it (%w): %w", a.ClusterID, err, seal.ErrSealed)
		}
		*b, news = box, news || changed
	}
	return news, nil
}

// Openers returns the fingerprints of those of root's keys that open the authority; an
// empty one stands for a key that root does not know.
func (a *Authority) Openers(root *seal.RootKey) []string {
	var out []string
	for _, b := range a.boxes() {
		out = append(out, root.Opener(*b, a.context()))
	}
	return out
}

// Rewrap brings the stored authority under root's key in use. Every member must know that
// key. The row gets a new revision, so that the members take it over into what they
// keep themselves.
func Rewrap(tx *fsm.Tx, root *seal.RootKey) (news bool, err error) {
	row, err := authorities.Get(tx, fsm.Global, authorityKey)
	if errors.Is(err, fsm.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if news, err = row.rewrap(root); err != nil || !news {
		return false, err
	}
	row.Revision++
	return true, authorities.Put(tx, row)
}

// Look returns the authority as it stands in the store, or nil.
func Look(tx *fsm.Tx) (*Authority, error) {
	row, err := authorities.Get(tx, fsm.Global, authorityKey)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return row, err
}
