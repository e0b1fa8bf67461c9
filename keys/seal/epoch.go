package seal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// An Epoch is one life of the installation's data: it ends when a backup is restored.
// What is sealed for passing use in one (see [Ring.Passing]) does not open in another.
// Empty: nothing was ever restored.
type Epoch string

// A Restoration is the row that says which backup the present epoch began with. It
// enters the store with the backup's rows, so no node ever has one without the other.
type Restoration struct {
	ID      []byte    `cbor:"1,keyasint,omitempty"` // random, so that two restores of one backup differ
	At      time.Time `cbor:"2,keyasint,omitempty"`
	Archive string    `cbor:"3,keyasint,omitempty"` // the backup's ID
	Cluster string    `cbor:"4,keyasint,omitempty"` // that it was made by
	Made    time.Time `cbor:"5,keyasint,omitempty"` // when the backup was
	Index   uint64    `cbor:"6,keyasint,omitempty"` // log entry that the backup stands at
	Before  uint64    `cbor:"7,keyasint,omitempty"` // log entry that this cluster stood at
	By      string    `cbor:"8,keyasint,omitempty"` // who restored it, as events name actors
	Done    bool      `cbor:"9,keyasint,omitempty"` // what follows a restore has been done
	// Awaits names the node of a new cluster that holds an archive to begin with. There was
	// no restore yet then, and nothing else is set.
	Awaits string `cbor:"10,keyasint,omitempty"`
}

var restorations = fsm.NewTable(12, "restore_epoch", fsm.Spec[Restoration]{
	Key: func(*Restoration) fsm.Key { return fsm.K("epoch") },
})

// Begin returns r as the row that begins a new epoch.
func (r Restoration) Begin() (fsm.Raw, error) {
	r.ID = make([]byte, 16)
	rand.Read(r.ID)
	return restorations.Raw(&r)
}

// LatestRestoration returns the restore that began the present epoch, or fsm.ErrNotFound.
func LatestRestoration(tx *fsm.Tx) (*Restoration, error) {
	return restorations.Get(tx, fsm.Global, fsm.K("epoch"))
}

// Await has everybody wait until node has restored the archive that it holds, if nothing
// was ever restored.
func Await(tx *fsm.Tx, node string) error {
	has, err := restorations.Has(tx, fsm.Global, fsm.K("epoch"))
	if err != nil || has {
		return err
	}
	return restorations.Put(tx, &Restoration{Awaits: node})
}

// Forgo takes back what Await said for node, which has no archive any more.
func Forgo(tx *fsm.Tx, node string) error {
	r, err := LatestRestoration(tx)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && r.Awaits != node {
		return nil
	}
	if err != nil {
		return err
	}
	return restorations.Delete(tx, fsm.Global, fsm.K("epoch"))
}

// Settled reports fsm.ErrUnavailable while what follows a restore has not been done, or
// an archive waits to be restored: what was granted now would be void in a moment.
func Settled(tx *fsm.Tx) error {
	r, err := LatestRestoration(tx)
	switch {
	case errors.Is(err, fsm.ErrNotFound) || err == nil && r.Done:
		return nil
	case err != nil:
		return err
	case r.Awaits != "":
		return fmt.Errorf("node %s has a backup to restore first: %w", r.Awaits, fsm.ErrUnavailable)
	}
	return fmt.Errorf("a backup was restored, and its signing keys are being replaced: %w", fsm.ErrUnavailable)
}

// Settle notes that what follows a restore has been done.
func (r *Restoration) Settle(tx *fsm.Tx) error {
	done := *r
	done.Done = true
	return restorations.Put(tx, &done)
}

// EpochOf returns the epoch of the store as tx sees it, with the log index that it
// began at: whatever was given by a state before that is void.
func EpochOf(tx *fsm.Tx) (e Epoch, began uint64, err error) {
	r, began, err := restorations.GetRev(tx, fsm.Global, fsm.K("epoch"))
	if errors.Is(err, fsm.ErrNotFound) {
		return "", 0, nil
	}
	if err != nil || r.Awaits != "" {
		return "", 0, err
	}
	return Epoch(hex.EncodeToString(r.ID)), began, nil
}

// Check reports ErrBox if the store that tx sees is in another epoch, and what Settled
// does: call it in the transaction that spends what was opened in e, since a restore may
// have come between.
func Check(tx *fsm.Tx, e Epoch) error {
	now, _, err := EpochOf(tx)
	if err != nil {
		return err
	}
	if now != e {
		return fmt.Errorf("made before a backup was restored: %w", ErrBox)
	}
	return Settled(tx)
}

// CheckRow reports ErrSealed, naming the root keys, if a row of a backup is a sealing
// key that w does not open. Rows of other tables pass. ok says that it was one that w opens.
func CheckRow(table uint16, payload []byte, w *RootKey) (ok bool, err error) {
	k, mine, err := sealingKeys.Decode(table, payload)
	if err != nil || !mine {
		return false, err
	}
	box, err := k.boxOf(w)
	if err != nil {
		return false, err
	}
	if _, err = k.unwrap(w, box); errors.Is(err, ErrBox) {
		return false, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return err == nil, err
}

// Epoch returns the present epoch.
func (r *Ring) Epoch() Epoch { return r.set().epoch }

// Began returns when the present epoch began; zero: nothing was ever restored.
func (r *Ring) Began() time.Time { return r.set().began }

// Passing returns purpose as it is in the present epoch: for codes, cookies, flows and
// whatever else must not survive the restore of a backup. Before the first restore it
// is purpose itself.
func (r *Ring) Passing(purpose string) string {
	if e := r.Epoch(); e != "" {
		return purpose + " epoch " + string(e)
	}
	return purpose
}
