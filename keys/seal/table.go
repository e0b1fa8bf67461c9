package seal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A sealingKey is one key of the ring as it is stored.
type sealingKey struct {
	ID        uint32    `cbor:"1,keyasint,omitempty"`
	Boxes     []rootBox `cbor:"2,keyasint,omitempty"` // one per root key that opens it
	Created   time.Time `cbor:"3,keyasint,omitempty"`
	NotBefore time.Time `cbor:"4,keyasint,omitempty"` // no node seals with it earlier
}

// A rootBox is a sealing key wrapped under one root key. While a cluster moves to a
// new root key there are two, so that nodes can be restarted one by one.
type rootBox struct {
	Root string `cbor:"1,keyasint,omitempty"` // fingerprint
	Box  []byte `cbor:"2,keyasint,omitempty"`
}

var sealingKeys = fsm.NewTable(10, "seal_keys", fsm.Spec[sealingKey]{
	Key: func(k *sealingKey) fsm.Key { return fsm.Key("").Uint(uint64(k.ID)) },
})

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{sealingKeys, restorations}

// Init creates the first sealing key if there is none. Whoever creates a cluster
// calls it in the cluster's first transaction.
func Init(tx *fsm.Tx, w *RootKey) error {
	for _, err := range sealingKeys.List(tx, fsm.Global) {
		return err
	}
	return addKey(tx, w, 1, tx.Now())
}

func addKey(tx *fsm.Tx, w *RootKey, id uint32, notBefore time.Time) error {
	var secret [32]byte
	rand.Read(secret[:])
	k := &sealingKey{ID: id, Created: tx.Now(), NotBefore: notBefore}
	// Under every key at hand: another node may use another of them already, or still. The
	// one in use comes last, as in [Rewrap].
	all := w.Keys()
	for _, one := range append(all[1:], all[0]) {
		if err := k.wrap(one, secret[:]); err != nil {
			return err
		}
	}
	return sealingKeys.Insert(tx, k)
}

// wrap adds a box under w.
func (k *sealingKey) wrap(w *RootKey, secret []byte) error {
	box, err := w.Wrap(secret, wrapContext(k.ID))
	if err != nil {
		return fmt.Errorf("wrap sealing key %d: %w", k.ID, err)
	}
	k.Boxes = append(k.Boxes, rootBox{Root: w.ID(), Box: box})
	return nil
}

// boxOf returns a box that w opens, that of the key in use if there is one. It reports
// ErrSealed, in words for the operator, if there is none.
func (k *sealingKey) boxOf(w *RootKey) ([]byte, error) {
	for _, id := range w.IDs() {
		for _, b := range k.Boxes {
			if b.Root == id {
				return b.Box, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: the store needs root key %s, this node was given root key %s; "+
		"start it with the root key that this cluster was created with (root_key_file, QUIS_ROOT_KEY_FILE or QUIS_ROOT_KEY)",
		ErrSealed, strings.Join(k.roots(), " "), strings.Join(w.IDs(), " "))
}

func (k *sealingKey) roots() []string {
	var ids []string
	for _, b := range k.Boxes {
		ids = append(ids, b.Root)
	}
	return ids
}

func (k *sealingKey) unwrap(w *RootKey, box []byte) ([32]byte, error) {
	secret, err := w.Unwrap(box, wrapContext(k.ID))
	if err != nil {
		return [32]byte{}, fmt.Errorf("unwrap sealing key %d: %w", k.ID, err)
	}
	if len(secret) != 32 {
		return [32]byte{}, fmt.Errorf("unwrap sealing key %d: %d bytes: %w", k.ID, len(secret), fsm.ErrCorrupt)
	}
	return [32]byte(secret), nil
}

func wrapContext(id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte("quis sealing key "), id)
}
