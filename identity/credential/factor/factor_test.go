package factor_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

func TestRemove(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, slices.Concat(seal.Tables, event.Tables, directory.Tables, totp.Tables, recovery.Tables,
		device.Tables, passkey.Tables, certificate.Tables, approval.Tables, session.Tables)...)
	ring := sealtest.Ring(t, db)
	var ada, bob *directory.User
	var ids []string // an app's, the codes', a browser's
	update := func(fn func(tx *fsm.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	equip := func(tx *fsm.Tx) error {
		app, _, err := totptest.Add(tx, ring, ten, ada.ID, "phone")
		if err != nil {
			return err
		}
		if _, err := recovery.Generate(tx, ring, ten, ada.ID); err != nil {
			return err
		}
		codes, err := recovery.Get(tx, ten, ada.ID)
		if err != nil {
			return err
		}
		browser, _, err := approval.Allow(tx, ring, ten, ada.ID, "ses_1", "browser")
		if err != nil {
			return err
		}
		if _, _, err := device.Trust(tx, ring, ten, ada.ID, "Firefox", time.Hour); err != nil {
			return err
		}
		ids = []string{app.ID, codes.ID, browser.ID}
		return nil
	}
	left := func(tx *fsm.Tx) (n int, trusted int) {
		t.Helper()
		apps, err := totp.List(tx, ten, ada.ID)
		codes, err2 := recovery.Get(tx, ten, ada.ID)
		browsers, err3 := approval.List(tx, ten, ada.ID)
		devices, err4 := device.List(tx, ten, ada.ID)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		if n = len(apps) + len(browsers); codes != nil {
			n++
		}
		return n, len(devices)
	}
	update(func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		if ada, err = directory.CreateUser(tx, ten, directory.User{Username: "ada"}); err != nil {
			return err
		}
		bob, err = directory.CreateUser(tx, ten, directory.User{Username: "bob"})
		return err
	})
	for _, kind := range []int{0, 1, 2} {
		update(equip)
		update(func(tx *fsm.Tx) error {
			for _, wrong := range []string{"", "x", "dev_1", ids[kind] + "x"} {
				if err := factor.Remove(tx, ten, ada.ID, wrong); !errors.Is(err, fsm.ErrNotFound) {
					t.Errorf("%q: %v", wrong, err)
				}
			}
			if err := factor.Remove(tx, ten, bob.ID, ids[kind]); !errors.Is(err, fsm.ErrNotFound) {
				t.Errorf("%s of somebody else: %v", ids[kind], err)
			}
			if err := factor.Remove(tx, ten, ada.ID, ids[kind]); err != nil {
				return err
			}
			if n, trusted := left(tx); n != 2 || trusted != 0 {
				t.Errorf("without %s %d factors are left, %d devices are trusted", ids[kind], n, trusted)
			}
			return factor.RemoveAll(tx, ten, ada.ID, "test")
		})
		update(func(tx *fsm.Tx) error {
			if n, _ := left(tx); n != 0 {
				t.Errorf("%d factors are left of all", n)
			}
			return factor.RemoveAll(tx, ten, ada.ID, "test") // of nothing
		})
	}
}
