package caller

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

// TestRefusesAssertionFromBeforeARestore: a restore brings no spent marks back, so nothing
// that may have been used before it counts after it.
func TestRefusesAssertionFromBeforeARestore(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, append(seal.Tables, Tables...)...)
	update := func(fn func(tx *fsm.Tx) error) error { return db.Update(t.Context(), fn) }
	ring := sealtest.Ring(t, db)
	made := func(at time.Time) (*Assertion, error) {
		return NewAssertion(ring, "client app", &jose.Claims{ID: "j", Expires: at.Add(time.Minute), Issued: at}, assertionLife)
	}
	spend := func(a *Assertion) error { return update(func(tx *fsm.Tx) error { return a.Spend(tx, "ten") }) }
	before, err := made(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var fault *Fault
	if err := spend(before); err != nil || !before.Spent() {
		t.Errorf("the first time: %v", err)
	}
	if err := spend(before); !errors.As(err, &fault) {
		t.Errorf("the second time: %v", err)
	}
	restore(t, db)
	if err := spend(before); !errors.As(err, &fault) {
		t.Errorf("verified before the restore, spent after it: %v", err)
	}
	if _, err := made(ring.Began().Add(-time.Second)); !errors.As(err, &fault) {
		t.Errorf("made before the restore: %v", err)
	}
	if _, err := NewAssertion(ring, "client app", &jose.Claims{ID: "j", Expires: ring.Began().Add(time.Minute)}, assertionLife); !errors.As(err, &fault) {
		t.Errorf("made nobody knows when: %v", err)
	}
	if _, err := made(ring.Began().Add(time.Minute)); err != nil {
		t.Errorf("made after the restore: %v", err)
	}
}

// restore has db hold what it holds, as a new epoch.
func restore(t *testing.T, db *fsm.DB) {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	var whole, adopted bytes.Buffer
	_, err = s.WriteTo(&whole)
	begun, berr := seal.Restoration{At: time.Now(), Archive: "bak_1", Index: 1, Done: true}.Begin()
	if err := errors.Join(err, berr, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Adopt(&adopted, &whole, begun); err != nil {
		t.Fatal(err)
	}
	if err := db.Restore(&adopted); err != nil {
		t.Fatal(err)
	}
}
