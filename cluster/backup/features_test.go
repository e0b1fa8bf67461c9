package backup_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// TestArchiveNamesWhatIsInUse: whoever shall restore an archive learns from its header
// which features its rows may be written with.
func TestArchiveNamesWhatIsInUse(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	db := store(t, root, "here")
	whole, made := create(t, db, root)
	if made.Features != nil {
		t.Errorf("features %v where none is in use", made.Features)
	}
	p, err := backup.Prepare(t.Context(), db, t.TempDir(), bytes.NewReader(whole), backup.Keys{Root: root}, func(backup.Info) ([]fsm.Raw, error) {
		row, err := feature.Activated("trial/2", "test", time.Now())
		return []fsm.Raw{row}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := db.RestoreAs(p.File, p.Position.Index+1, db.Position().Term); err != nil {
		t.Fatal(err)
	}
	whole, _ = create(t, db, root)
	var seen []string
	p, err = backup.Prepare(t.Context(), db, t.TempDir(), bytes.NewReader(whole), backup.Keys{Root: root}, func(i backup.Info) ([]fsm.Raw, error) {
		seen = i.Features
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if d := cmp.Diff([]string{"trial/2"}, seen); d != "" {
		t.Error(d)
	}
}
