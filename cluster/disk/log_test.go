package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
)

var unobserved = prometheus.ObserverFunc(func(float64) {})

func TestLogFitsTheStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		term     uint64
		from, to uint64
		store    fsm.Position
		belongs  bool
		fits     bool
	}{
		"new node":                   {fits: true},
		"made a founder":             {belongs: true, fits: true},
		"snapshot installed":         {term: 3, store: fsm.Position{Index: 100, Term: 2}, belongs: true, fits: true},
		"installed far ahead":        {term: 3, from: 1, to: 40, store: fsm.Position{Index: 100, Term: 3}, belongs: true, fits: true},
		"goes on":                    {term: 3, from: 50, to: 120, store: fsm.Position{Index: 100, Term: 3}, belongs: true, fits: true},
		"another, empty log":         {store: fsm.Position{Index: 100, Term: 1}, belongs: true},
		"an older log":               {term: 2, from: 1, to: 40, store: fsm.Position{Index: 100, Term: 3}, belongs: true},
		"begins behind the store":    {term: 3, from: 102, to: 120, store: fsm.Position{Index: 100, Term: 3}, belongs: true},
		"entries of who knows where": {term: 1, from: 1, to: 2},
		"a vote of who knows where":  {term: 1},
	} {
		l, err := OpenLog(t.TempDir(), unobserved, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if c.term > 0 {
			err = l.SetUint64(termKey, c.term)
		}
		for i := c.from; i <= c.to && i > 0 && err == nil; i++ {
			err = l.StoreLog(&raft.Log{Index: i, Term: 1})
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Fits(c.store, c.belongs); (err == nil) != c.fits {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLogDeletesInPieces(t *testing.T) {
	t.Parallel()
	l, err := OpenLog(t.TempDir(), unobserved, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Arm(true)
	store := func(from, to uint64) {
		var logs []*raft.Log
		for i := from; i <= to; i++ {
			logs = append(logs, &raft.Log{Index: i, Term: 1})
		}
		if err := l.StoreLogs(logs); err != nil {
			t.Fatal(err)
		}
	}
	ends := func(first, last uint64) {
		t.Helper()
		f, err1 := l.FirstIndex()
		b, err2 := l.LastIndex()
		if f != first || b != last || err1 != nil || err2 != nil {
			t.Errorf("log from %d to %d, want %d to %d (%v, %v)", f, b, first, last, err1, err2)
		}
	}
	store(1, 2000)
	for _, c := range []struct{ from, to, first, last uint64 }{
		{1, 1200, 1201, 2000}, {1900, 2000, 1201, 1899}, {1201, 1201, 1202, 1899},
	} {
		if err := l.DeleteRange(c.from, c.to); err != nil {
			t.Fatal(err)
		}
		ends(c.first, c.last)
	}
	store(1_000_000, 1_000_100) // what follows an installed snapshot, far ahead
	if err := l.DeleteRange(1202, 1_000_050); err != nil {
		t.Fatal(err)
	}
	ends(1_000_051, 1_000_100)
	if err := l.DeleteRange(1_000_051, 1_000_100); err != nil {
		t.Fatal(err)
	}
	ends(0, 0)
}

// Whatever has happened to the file, opening and reading it gives what was written
// or an error.
func TestDamagedLogIsNeverBelieved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, logFile)
	quiet := func(error) {}
	l, err := OpenLog(dir, unobserved, quiet)
	if err != nil {
		t.Fatal(err)
	}
	const entries = 60
	for i := range uint64(entries) {
		data := bytes.Repeat([]byte{byte(i)}, 50+int(i)*40)
		if err := l.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for round := range uint64(150) {
		r := rand.New(rand.NewPCG(7, round))
		b := bytes.Clone(whole)
		switch at := r.IntN(len(b)); r.IntN(3) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			page := b[at&^4095:]
			clear(page[:min(len(page), 4096)])
		case 2:
			copy(b[at:], b[r.IntN(len(b)):][:r.IntN(300)%(len(b)-at)])
		}
		dir := filepath.Join(dir, fmt.Sprint(round)) // its own: a library that panicked may hold the file
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, logFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLog(dir, unobserved, quiet)
		if err != nil {
			refused++
			continue
		}
		for i := range uint64(entries) {
			var e raft.Log
			err := l.GetLog(i+1, &e)
			right := e.Index == i+1 && e.Term == 1 && e.Type == raft.LogCommand && bytes.Equal(e.Data, bytes.Repeat([]byte{byte(i)}, 50+int(i)*40))
			if err == nil && !right && len(e.Extensions) > 0 {
				t.Errorf("round %d: entry %d reads wrong", round, i+1)
			} else if err != nil {
				refused++
				break
			}
		}
		l.Close() // of a damaged file: any answer will do
	}
	if refused == 0 {
		t.Error("no damage was found")
	}
	t.Logf("%d damages found", refused)
}

// oldChecksum is what the leaders of earlier releases sent along with a command.
func oldChecksum(data []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli))
}

func TestChecksumCoversEverythingThatCounts(t *testing.T) {
	t.Parallel()
	for _, kind := range []raft.LogType{raft.LogCommand, raft.LogNoop, raft.LogBarrier, raft.LogConfiguration} {
		l, err := OpenLog(t.TempDir(), unobserved, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		if err := l.StoreLog(&raft.Log{Index: 7, Term: 3, Type: kind, Data: []byte("data")}); err != nil {
			t.Fatal(err)
		}
		var good raft.Log
		if err := l.GetLog(7, &good); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		for what, spoil := range map[string]func(e *raft.Log){
			"index":    func(e *raft.Log) { e.Index = 8 },
			"term":     func(e *raft.Log) { e.Term++ },
			"type":     func(e *raft.Log) { e.Type ^= 1 },
			"data":     func(e *raft.Log) { e.Data = []byte("date") },
			"checksum": func(e *raft.Log) { e.Extensions = bytes.Clone(e.Extensions); e.Extensions[1] ^= 1 },
		} {
			e := good
			spoil(&e)
			if err := l.StoreLog(&e); err == nil || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("%v: another %s taken from the leader: %v", kind, what, err)
			}
			if err := l.BoltStore.StoreLog(&e); err != nil { // what a changed file would hold
				t.Fatal(err)
			}
			if err := l.GetLog(e.Index, &raft.Log{}); err == nil || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("%v: another %s read back: %v", kind, what, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Logs of earlier releases, and entries from leaders that are still of one.
func TestOldChecksumsAreRead(t *testing.T) {
	t.Parallel()
	l, err := OpenLog(t.TempDir(), unobserved, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	command := raft.Log{Index: 1, Term: 1, Data: []byte("data"), Extensions: oldChecksum([]byte("data"))}
	config := raft.Log{Index: 2, Term: 1, Type: raft.LogConfiguration, Data: []byte("config")}
	changed := raft.Log{Index: 3, Term: 1, Data: []byte("date"), Extensions: oldChecksum([]byte("data"))}
	later := raft.Log{Index: 4, Term: 1, Data: []byte("data"), Extensions: []byte{99, 1, 2, 3, 4, 5, 6, 7, 8}}
	for _, c := range []struct {
		raft.Log
		good, signed bool
	}{{command, true, true}, {config, true, true}, {changed, false, false}, {later, true, false}} {
		if err := l.BoltStore.StoreLog(&c.Log); err != nil {
			t.Fatal(err)
		}
		var e raft.Log
		if err := l.GetLog(c.Index, &e); (err == nil) != c.good {
			t.Errorf("entry %d read back: %v", c.Index, err)
		}
		if err := l.StoreLog(&c.Log); (err == nil) != c.good {
			t.Errorf("entry %d taken from the leader: %v", c.Index, err)
		}
		if got := len(c.Extensions) == newForm; got != c.signed {
			t.Errorf("entry %d has a checksum of %d bytes", c.Index, len(c.Extensions))
		}
	}
}

func TestWatchNoticesAWriteThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	l, err := OpenLog(t.TempDir(), unobserved, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.since.Store(int64(time.Since(epoch) - time.Hour))
	if err := l.Watch(time.Second, nil); !errors.Is(err, ErrStall) {
		t.Errorf("watch: %v", err)
	}
}
