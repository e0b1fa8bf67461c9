package event_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity/event"
)

func verify(t testing.TB, db *fsm.DB) event.Anchor {
	t.Helper()
	a, err := event.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestVerifyAgainstANotedAnchor(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, event.Tables...)
	if a := verify(t, c.DB[0]); a.Count != 0 {
		t.Errorf("empty journal: %+v", a)
	}
	for i := range 5 {
		add(t, c.DB[0], named("a", event.UserCreated, fmt.Sprint(i)))
	}
	noted := verify(t, c.DB[0])
	back, err := event.ParseAnchor(noted.String())
	if err != nil || back != noted {
		t.Fatalf("got %+v, %v, want %+v", back, err, noted)
	}
	add(t, c.DB[1], named("b", event.UserCreated, "later"))
	head, err := event.VerifyAgainst(t.Context(), c.DB[1], noted)
	if err != nil || head.Count != 6 {
		t.Errorf("head %+v, %v", head, err)
	}
	forged := noted
	forged.Link[3] ^= 1
	ahead := head
	ahead.Count = 9
	for _, a := range []event.Anchor{forged, ahead} {
		if _, err := event.VerifyAgainst(t.Context(), c.DB[1], a); !errors.Is(err, fsm.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", a, err)
		}
	}
	// Another history, itself consistent, that someone put in the place of this one.
	other := fsmtest.New(t, event.Tables...)
	for i := range 6 {
		add(t, other, named("a", event.UserCreated, fmt.Sprint("other", i)))
	}
	verify(t, other)
	if _, err := event.VerifyAgainst(t.Context(), other, noted); !errors.Is(err, fsm.ErrCorrupt) {
		t.Errorf("rewritten history: got %v, want ErrCorrupt", err)
	}
}

func FuzzParseAnchor(f *testing.F) {
	f.Add(event.Anchor{Count: 3, Position: fsm.JournalPosition{Index: 9}}.String())
	f.Fuzz(func(t *testing.T, s string) {
		a, err := event.ParseAnchor(s)
		if err == nil && a.String() != s {
			t.Errorf("%q and %q are one anchor", s, a)
		}
	})
}

// TestTamperingIsFound edits the rows of a store the way someone with the disk could.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	for i := range 4 {
		add(t, db, named("a", event.UserCreated, fmt.Sprint("user", i)))
	}
	noted := verify(t, db)
	entry := func(k []byte) bool { return k[0] == 'j' }
	for name, edit := range map[string]func(i int, k, v []byte) ([]byte, bool){
		"changed": func(i int, k, v []byte) ([]byte, bool) {
			return bytes.Replace(v, []byte("user1"), []byte("user9"), 1), true
		},
		"moved in time": func(i int, k, v []byte) ([]byte, bool) {
			if entry(k) && i == 2 {
				v[36] ^= 1
			}
			return v, true
		},
		"removed": func(i int, k, v []byte) ([]byte, bool) { return v, !entry(k) || i != 1 },
		"cut off": func(i int, k, v []byte) ([]byte, bool) { return v, !entry(k) || i != 3 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := tampered(t, db, entry, edit)
			if _, err := event.Verify(t.Context(), bad); !errors.Is(err, fsm.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			if _, err := event.VerifyAgainst(t.Context(), bad, noted); !errors.Is(err, fsm.ErrCorrupt) {
				t.Errorf("against the anchor: got %v, want ErrCorrupt", err)
			}
		})
	}
	same := tampered(t, db, entry, func(_ int, _, v []byte) ([]byte, bool) { return v, true })
	if got := verify(t, same); got != noted {
		t.Errorf("an untouched copy has %s, want %s", got, noted)
	}
}

// tampered returns a store restored from an edited stream of db; i counts the keys that count selects.
func tampered(t *testing.T, db *fsm.DB, count func(k []byte) bool, edit func(i int, k, v []byte) ([]byte, bool)) *fsm.DB {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var raw bytes.Buffer
	if _, err := s.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	line, err := raw.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(line)
	i := 0
	for {
		k := field(t, &raw)
		if len(k) == 0 {
			break
		}
		v, keep := edit(i, k, field(t, &raw))
		if count(k) {
			i++
		}
		if keep {
			out.Write(append(binary.AppendUvarint(nil, uint64(len(k))), k...))
			out.Write(append(binary.AppendUvarint(nil, uint64(len(v))), v...))
		}
	}
	out.WriteByte(0)
	sum := sha256.Sum256(out.Bytes())
	out.Write(sum[:])
	bad, err := fsm.Open(fsm.Config{Dir: t.TempDir(), Schema: event.Tables})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bad.Close() })
	if err := bad.Restore(out); err != nil {
		t.Fatal(err)
	}
	return bad
}

func field(t *testing.T, r *bytes.Buffer) []byte {
	t.Helper()
	n, err := binary.ReadUvarint(r)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(r.Next(int(n)))
}
