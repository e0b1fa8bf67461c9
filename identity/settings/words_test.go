package settings_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/settings"
)

// The words that are no passwords are kept apart from what every request reads, and go with it.
func TestWordsStandApart(t *testing.T) {
	t.Parallel()
	db := open(t)
	a := settings.Default(ten)
	holds := func(want ...string) {
		t.Helper()
		err := db.View(t.Context(), func(tx *fsm.Tx) error {
			got, _, err := settings.Get(tx, ten)
			if err == nil && got.Password.Blocklist != nil {
				t.Errorf("every request reads %q", got.Password.Blocklist)
			}
			if got, _, err = settings.Whole(tx, ten); err == nil && !cmp.Equal(got.Password.Blocklist, want) {
				t.Errorf("got %q, want %q", got.Password.Blocklist, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range [][]string{{"acme rockets"}, {"acme", "rockets"}, nil, {"acme"}} {
		a.Password.Blocklist = words
		if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return settings.Put(tx, 0, a) }); err != nil {
			t.Fatal(err)
		}
		holds(words...)
	}
	if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return settings.DeleteTenant(tx, ten) }); err != nil {
		t.Fatal(err)
	}
	holds()
}
