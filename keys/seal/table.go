package seal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
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
	Root string `cbor:"1,keyasint,omitempty"` // Wrapper.ID
	Box  []byte `cbor:"2,keyasint,omitempty"`
}

var sealingKeys = fsm.NewTable(10, "seal_keys", fsm.Spec[sealingKey]{
	Key: func(k *sealingKey) fsm.Key { return fsm.Key("").Uint(uint64(k.ID)) },
})

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{sealingKeys, restorations}

// Init creates the first sealing key if there is none. Whoever creates a cluster
// calls it in the cluster's first transaction.
func Init(tx *fsm.Tx, w Wrapper) error {
	for _, err := range sealingKeys.List(tx, fsm.Global) {
		return err
	}
	return addKey(tx, w, 1, tx.Now())
}

func addKey(tx *fsm.Tx, w Wrapper, id uint32, notBefore time.Time) error {
	var secret [32]byte
	rand.Read(secret[:])
	box, err := w.Wrap(secret[:], wrapContext(id))
	if err != nil {
		return fmt.Errorf("wrap sealing key %d: %w", id, err)
	}
	return sealingKeys.Insert(tx, &sealingKey{
		ID: id, Boxes: []rootBox{{Root: w.ID(), Box: box}},
		Created: tx.Now(), NotBefore: notBefore,
	})
}

// boxOf returns the box that w opens. It reports ErrSealed, in words for the
// operator, if there is none.
func (k *sealingKey) boxOf(w Wrapper) ([]byte, error) {
	others := ""
	for _, b := range k.Boxes {
		if b.Root == w.ID() {
			return b.Box, nil
		}
		others += " " + b.Root
	}
	return nil, fmt.Errorf("%w: the store needs root key%s, this node was given root key %s; "+
		"start it with the root key that this cluster was created with (root_key_file, QUIS_ROOT_KEY_FILE or QUIS_ROOT_KEY)",
		ErrSealed, others, w.ID())
}

func (k *sealingKey) unwrap(w Wrapper, box []byte) ([32]byte, error) {
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
