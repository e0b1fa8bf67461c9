package seal_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// What was sealed for passing use, or opened a moment ago, is void in the very moment in
// which a backup is restored, although the keys are the same; and nothing is granted before
// what follows a restore has been done.
func TestRestoreVoidsWhatPasses(t *testing.T) {
	t.Parallel()
	c, all, _ := rings(t, 1)
	db, ring := c.DB[0], all[0]
	check := func(e seal.Epoch) error {
		return db.View(t.Context(), func(tx *fsm.Tx) error { return seal.Check(tx, e) })
	}
	before := ring.Epoch()
	if err := check(before); before != "" || err != nil {
		t.Fatalf("epoch %q, %v", before, err)
	}
	sealed := func(purpose string) []byte {
		box, err := ring.Seal(purpose, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	opens := func(purpose string, box []byte) bool {
		_, err := ring.Open(purpose, box, nil)
		return err == nil
	}
	code, lasting := sealed(ring.Passing("code")), sealed("lasting")
	mac, err := ring.MAC(ring.Passing("cookie"), ring.CurrentKey(), []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{"bak_1", "bak_1"} { // twice the same
		old := ring.Epoch()
		s, err := db.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		var whole, adopted bytes.Buffer
		_, err = s.WriteTo(&whole)
		begun, berr := seal.Restoration{At: time.Now(), Archive: archive, Index: 1}.Begin()
		if err := errors.Join(err, berr, s.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Adopt(&adopted, &whole, begun); err != nil {
			t.Fatal(err)
		}
		if err := db.Restore(&adopted); err != nil {
			t.Fatal(err)
		}
		if now := ring.Epoch(); now == "" || now == old || ring.Began().IsZero() {
			t.Errorf("epoch %q after %q", now, old)
		}
		if err := check(old); !errors.Is(err, seal.ErrBox) {
			t.Errorf("opened before the restore, spent after it: %v", err)
		}
		if err := check(ring.Epoch()); !errors.Is(err, fsm.ErrUnavailable) {
			t.Errorf("granted before what follows a restore was done: %v", err)
		}
		if opens(ring.Passing("code"), code) {
			t.Error("a code outlives the restore")
		}
		if again, err := ring.MAC(ring.Passing("cookie"), ring.CurrentKey(), []byte("m")); err != nil || mac == again {
			t.Errorf("a cookie outlives the restore, %v", err)
		}
		if !opens("lasting", lasting) {
			t.Error("what lasts does not open any more")
		}
		code = sealed(ring.Passing("code"))
		if !opens(ring.Passing("code"), code) {
			t.Error("a code of the present epoch does not open")
		}
	}
}
