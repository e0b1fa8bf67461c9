package passkey

import (
	"testing"

	"github.com/quis-idp/quis/fsm"
)

// MetadataRows counts the rows of metadata, of whatever generation.
func MetadataRows(t testing.TB, db *fsm.DB) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *fsm.Tx) (err error) { n, err = metadataRows.CountAll(tx); return err })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
