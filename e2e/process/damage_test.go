package process

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Damaged files are found and named; a node never goes on with what it cannot trust.

func TestRefusesShortLog(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 100, 4096, 20000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, true)
			whole := s.spoil("raft.db", func(b []byte) []byte { return b[:size] })
			s.refuses("raft.db", "damaged", "cluster.join", "backup")
			whole()
			s.holds(tokens)
		})
	}
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		s, tokens := seeded(t, false)
		path := filepath.Join(s.data, "raft.db")
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		s.refuses("its log is missing", "cluster.join")
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		s.holds(tokens)
	})
}

// TestRefusesFlippedLog: every entry that the log would replay carries a checksum,
// so one bit is enough to be found.
func TestRefusesFlippedLog(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, true)
			rng := rand.New(rand.NewPCG(7, uint64(i)))
			whole := s.spoil("raft.db", func(b []byte) []byte {
				entries := bigEntries(b)
				if len(entries) == 0 {
					t.Fatal("no entry found in the log")
				}
				from := entries[rng.IntN(len(entries))]
				at, bit := rng.IntN(32), byte(1)<<rng.IntN(8)
				entry := bytes.Clone(b[from : from+32])
				for rest := b; ; { // the file may hold old copies of a page
					i := bytes.Index(rest, entry)
					if i < 0 {
						return b
					}
					rest[i+at] ^= bit
					rest = rest[i+32:]
				}
			})
			s.run()
			s.failed("quis: ", "raft.db", "damaged", "cluster.join", "backup")
			whole()
			s.holds(tokens)
		})
	}
}

// bigEntries finds where the data of log entries begins that have 256 bytes and
// more. Entries are stored as MessagePack maps, the name of a field before its value.
func bigEntries(b []byte) []int {
	var at []int
	for name, i := []byte("\xa4Data"), 0; ; {
		next := bytes.Index(b[i:], name)
		if next < 0 {
			return at
		}
		i += next + len(name)
		if kind := b[i]; kind == 0xc5 || kind == 0xda { // bytes or text with a length of 16 bits
			at = append(at, i+3)
		}
	}
}

func TestRefusesDamagedStore(t *testing.T) {
	t.Parallel()
	flip := func(b []byte) []byte { b[len(b)/3] ^= 4; return b }
	for name, damage := range map[string]func([]byte) []byte{
		"store/gen-*/*.sst":      flip,
		"store/CURRENT":          flip,
		"node.json":              flip,
		"store/gen-000001/*.sst": func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, false)
			whole := s.spoil(name, damage)
			s.run()
			s.failed("damaged", "move")
			whole()
			s.holds(tokens)
		})
	}
}

// TestDamagedManifest: the engine takes a bad record at the end of its list of files
// for a write that a crash cut short. Then the store stands where it stood before,
// and the log brings it back, or is found to begin too late.
func TestDamagedManifest(t *testing.T) {
	t.Parallel()
	for _, at := range []int{3, 30, 60, 100} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, false)
			whole := s.spoil("store/gen-*/MANIFEST-*", func(b []byte) []byte { b[at%len(b)] ^= 4; return b })
			s.run()
			if s.waitReadyOrEnd() {
				s.stop()
			} else {
				s.refused("damaged", "move")
				whole()
			}
			s.holds(tokens)
		})
	}
}

// spoil changes the files of the data directory that match pattern; what it
// returns brings the whole directory back.
func (s *server) spoil(pattern string, change func([]byte) []byte) (undo func()) {
	s.t.Helper()
	kept := filepath.Join(s.dir, "kept")
	if err := os.CopyFS(kept, os.DirFS(s.data)); err != nil {
		s.t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(s.data, pattern))
	if err != nil || len(paths) == 0 {
		s.t.Fatalf("no file %s: %v", pattern, err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, change(b), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return func() {
		s.t.Helper()
		if err := os.RemoveAll(s.data); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Rename(kept, s.data); err != nil {
			s.t.Fatal(err)
		}
	}
}
