package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
)

type note struct {
	ID   string `cbor:"1,keyasint,omitempty"`
	Text string `cbor:"2,keyasint,omitempty"`
}

func key(n *note) fsm.Key { return fsm.K(n.ID) }

var (
	notes   = fsm.NewTable(1000, "notes", fsm.Spec[note]{Key: key})
	marks   = fsm.NewTable(1001, "marks", fsm.Spec[note]{Key: key, Transient: true, Expires: func(*note) time.Time { return time.Now().Add(time.Hour) }})
	byText  = marks.Index(1, "text", func(n *note) []fsm.Key { return []fsm.Key{fsm.K(n.Text)} })
	members = fsm.NewTable(1002, "members", fsm.Spec[note]{Key: key, Own: true})
	tallies = fsm.NewCounter(1003, "tallies").Transient()
	sums    = fsm.NewCounter(1004, "sums")
	history = fsm.NewJournal[note](1005, "history")
	schema  = slices.Concat([]fsm.Definition{notes, marks, members, tallies, sums, history}, seal.Tables, feature.Tables)
)

func update(t testing.TB, db *fsm.DB, f func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// store returns a store with a ring under root and one row of each kind, named by what.
func store(t testing.TB, root *seal.RootKey, what string) *fsm.DB {
	t.Helper()
	db := fsmtest.New(t, schema...)
	update(t, db, func(tx *fsm.Tx) error {
		return errors.Join(seal.Init(tx, root),
			notes.Put(tx, &note{what, what}), marks.Put(tx, &note{what, what}), members.Put(tx, &note{what, what}),
			tallies.Add(tx, fsm.Global, fsm.K(what), 1, time.Time{}), sums.Add(tx, fsm.Global, fsm.K(what), 1, time.Time{}),
			history.Append(tx, fsm.Global, &note{what, what}))
	})
	return db
}

func create(t testing.TB, db *fsm.DB, root *seal.RootKey, to ...age.Recipient) ([]byte, backup.Info) {
	t.Helper()
	var b bytes.Buffer
	i, err := backup.Create(t.Context(), db, &b, backup.Options{Root: root, Recipients: to, ClusterID: "c1", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), i
}

func TestArchiveIsVerifiedByReadingItBack(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	db := store(t, root, "here")
	whole, made := create(t, db, root)
	read, err := backup.Verify(bytes.NewReader(whole), backup.Keys{Root: root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if read.SHA256 != made.SHA256 || read.Bytes != int64(len(whole)) || made.Bytes != read.Bytes || read.ID != made.ID {
		t.Errorf("written %+v, read back %+v", made, read)
	}
	if read.Rows != 6 || read.Events != 1 || read.Index != db.Position().Index {
		t.Errorf("counted %d rows, %d events, index %d", read.Rows, read.Events, read.Index)
	}
	if bytes.Contains(whole, []byte("here")) {
		t.Error("the archive holds a row in clear")
	}
}

func TestEveryCutAndEveryChangeIsSeen(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	whole, _ := create(t, store(t, root, "here"), root)
	k := backup.Keys{Root: root}
	for at := range whole {
		if _, err := backup.Verify(bytes.NewReader(whole[:at]), k, nil); err == nil {
			t.Fatalf("cut at %d of %d: no error", at, len(whole))
		}
		bad := bytes.Clone(whole)
		bad[at] ^= 0x20
		if _, err := backup.Verify(bytes.NewReader(bad), k, nil); err == nil {
			t.Fatalf("byte %d of %d changed: no error", at, len(whole))
		}
	}
	if _, err := backup.Verify(bytes.NewReader(append(bytes.Clone(whole), 0)), k, nil); err == nil {
		t.Error("a byte more: no error")
	}
	for _, bad := range []string{"", "PK\x03\x04", string(whole[:20])} {
		if _, err := backup.Verify(strings.NewReader(bad), k, nil); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%q: got %v, want ErrDamaged", bad, err)
		}
	}
}

func TestForeignRootKeyIsNamedBeforeAnything(t *testing.T) {
	t.Parallel()
	root, other := seal.GenerateRootKey(), seal.GenerateRootKey()
	whole, _ := create(t, store(t, root, "here"), root)
	here := store(t, other, "there")
	before := here.Position()
	_, err := backup.Prepare(t.Context(), here, t.TempDir(), bytes.NewReader(whole), backup.Keys{Root: other}, nil)
	if !errors.Is(err, backup.ErrKey) || !strings.Contains(err.Error(), root.ID()) || !strings.Contains(err.Error(), other.ID()) {
		t.Errorf("got %v, want both fingerprints", err)
	}
	if here.Position().Index != before.Index {
		t.Error("something was written")
	}
}

func TestArchiveForARecipientTravelsOpened(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	me, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	whole, made := create(t, store(t, root, "here"), root, me.Recipient())
	if _, err := backup.Verify(bytes.NewReader(whole), backup.Keys{Root: root}, nil); !errors.Is(err, backup.ErrKey) {
		t.Errorf("opened without the identity: %v", err)
	}
	if _, err := backup.Verify(bytes.NewReader(whole), backup.Keys{Root: root, Identities: []age.Identity{me}}, nil); err != nil {
		t.Error(err)
	}
	var clear bytes.Buffer
	if err := backup.Reseal(&clear, bytes.NewReader(whole), backup.Keys{Identities: []age.Identity{me}}); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Verify(bytes.NewReader(clear.Bytes()), backup.Keys{Root: root}, nil); !errors.Is(err, backup.ErrKey) {
		t.Errorf("an archive that nothing vouches for: %v", err)
	}
	read, err := backup.Verify(&clear, backup.Keys{Root: root, Opened: true}, nil)
	if err != nil || read.ID != made.ID {
		t.Errorf("opened archive: %+v, %v", read, err)
	}
}

// TestAdoptedStateIsTheBackupsButForWhatIsOwnOrPassing restores into a store that has
// gone on, and has other rows in every table.
func TestAdoptedStateIsTheBackupsButForWhatIsOwnOrPassing(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	whole, made := create(t, store(t, root, "then"), root)
	here := store(t, root, "now")
	for i := range 20 {
		update(t, here, func(tx *fsm.Tx) error { return notes.Put(tx, &note{ID: fmt.Sprint(i)}) })
	}
	before := here.Position()
	p, err := backup.Prepare(t.Context(), here, t.TempDir(), bytes.NewReader(whole), backup.Keys{Root: root}, func(i backup.Info) ([]fsm.Raw, error) {
		epoch, err := seal.Restoration{Archive: i.ID, At: time.Now()}.Begin()
		return []fsm.Raw{epoch}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Position.Index <= before.Index || p.Position.Index <= made.Index {
		t.Errorf("the state enters at %d, this store is at %d, the backup at %d", p.Position.Index, before.Index, made.Index)
	}
	if p.Position.Time.Before(before.Time) {
		t.Error("time goes back")
	}
	ring, err := seal.OpenRing(t.Context(), here, root)
	if err != nil {
		t.Fatal(err)
	}
	old, generation := ring.Passing("x"), here.Generation()
	if err := here.RestoreAs(p.File, p.Position.Index+3, before.Term); err != nil {
		t.Fatal(err)
	}
	if ring.Passing("x") == old || here.Generation() == generation {
		t.Error("no new epoch at once")
	}
	view(t, here, func(tx *fsm.Tx) error {
		for what, want := range map[string]bool{"notes then": true, "notes now": false, "marks then": false, "marks now": false, "members now": true, "members then": false} {
			table, id, _ := strings.Cut(what, " ")
			has, err := map[string]*fsm.Table[note]{"notes": notes, "marks": marks, "members": members}[table].Has(tx, fsm.Global, fsm.K(id))
			if err != nil || has != want {
				t.Errorf("%s: %v, %v", what, has, err)
			}
		}
		for range byText.List(tx, fsm.Global) {
			t.Error("an index entry without its row")
		}
		if n, err := tallies.Get(tx, fsm.Global, fsm.K("then")); n != 0 || err != nil {
			t.Errorf("transient counter: %d, %v", n, err)
		}
		if n, err := sums.Get(tx, fsm.Global, fsm.K("then")); n != 1 || err != nil {
			t.Errorf("counter: %d, %v", n, err)
		}
		r, err := seal.LatestRestoration(tx)
		if err != nil || r.Archive != made.ID || r.Done {
			t.Errorf("epoch: %+v, %v", r, err)
		}
		_, err = history.Verify(tx)
		return err
	})
}

func view(t testing.TB, db *fsm.DB, f func(tx *fsm.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func TestCancelledBackupEnds(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	db := store(t, root, "here")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Create(ctx, db, io.Discard, backup.Options{Root: root, ClusterID: "c1", Version: "test"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzReadHeader(f *testing.F) {
	root := seal.GenerateRootKey()
	whole, _ := create(f, store(f, root, "here"), root)
	f.Add(whole)
	f.Add([]byte("quis-backup-1\n\xff\xff\xff\xff"))
	f.Add([]byte("quis-backup-1\n\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := backup.ReadHeader(bytes.NewReader(b))
		if err == nil && (i.Index == 0 || i.Size <= 0 || i.ID == "") {
			t.Errorf("took %+v", i)
		}
		if _, err := backup.Verify(bytes.NewReader(b), backup.Keys{Root: root}, nil); err == nil && !bytes.Equal(b, whole) {
			t.Error("verified what we did not write")
		}
	})
}
