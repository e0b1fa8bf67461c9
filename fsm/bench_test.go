package fsm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A benchRow is about 256 bytes with one index key: the write that the
// cluster's figures are given for.
type benchRow struct {
	ID    string `cbor:"1,keyasint"`
	Team  string `cbor:"2,keyasint"`
	Bytes []byte `cbor:"3,keyasint"`
}

var (
	benchRows = fsm.NewTable(1, "rows", fsm.Spec[benchRow]{Key: func(r *benchRow) fsm.Key { return fsm.K(r.ID) }})
	_         = benchRows.Index(1, "team", func(r *benchRow) []fsm.Key { return []fsm.Key{fsm.K(r.Team)} })
)

func benchAt(i int) *benchRow {
	return &benchRow{ID: fmt.Sprintf("row_%012d", i*7919%1_000_003), Team: fmt.Sprintf("team-%03d", i%500), Bytes: make([]byte, 210)}
}

// A localLog is the shortest log there is: it applies each batch at once.
type localLog struct {
	db   *fsm.DB
	next uint64
}

func (l *localLog) Propose(_ context.Context, batch []byte) (fsm.Outcome, error) {
	l.next++
	v, err := l.db.Apply([]fsm.Entry{{Index: l.next, Term: 1, Data: fsm.EncodeEntry(time.Now(), [][]byte{batch})}})
	if err != nil {
		return fsm.Outcome{}, err
	}
	return fsm.Outcome{Index: l.next, Verdict: v[0][0]}, nil
}

func (l *localLog) CatchUp(context.Context) error { return nil }

// A captureLog keeps what was proposed and applies nothing.
type captureLog struct{ batches [][]byte }

func (l *captureLog) Propose(_ context.Context, batch []byte) (fsm.Outcome, error) {
	l.batches = append(l.batches, batch)
	return fsm.Outcome{Verdict: fsm.Applied}, nil
}

func (l *captureLog) CatchUp(context.Context) error { return nil }

func benchStore(b *testing.B) *fsm.DB {
	b.Helper()
	db, err := fsm.Open(fsm.Config{Dir: b.TempDir(), Schema: []fsm.Definition{benchRows}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

// benchBatches returns n batches that insert rows from number from on.
func benchBatches(b *testing.B, from, n int) [][]byte {
	b.Helper()
	db, log := benchStore(b), &captureLog{}
	db.SetLog(log)
	for i := range n {
		if err := db.Update(b.Context(), func(tx *fsm.Tx) error { return benchRows.Put(tx, benchAt(from+i)) }); err != nil {
			b.Fatal(err)
		}
	}
	return log.batches
}

// fill applies n rows in entries of 128 batches.
func fill(b *testing.B, db *fsm.DB, n int) {
	b.Helper()
	index := uint64(0)
	for from := 0; from < n; from += 10000 {
		batches := benchBatches(b, from, min(10000, n-from))
		for len(batches) > 0 {
			k := min(128, len(batches))
			index++
			if _, err := db.Apply([]fsm.Entry{{Index: index, Term: 1, Data: fsm.EncodeEntry(time.Now(), batches[:k])}}); err != nil {
				b.Fatal(err)
			}
			batches = batches[k:]
		}
	}
	if _, err := db.Flush(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGet(b *testing.B) {
	db := benchStore(b)
	fill(b, db, 100_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		err := db.View(b.Context(), func(tx *fsm.Tx) error {
			_, err := benchRows.Get(tx, fsm.Global, fsm.K(benchAt(i%100_000).ID))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkGetMany(b *testing.B) {
	db := benchStore(b)
	fill(b, db, 100_000)
	keys := make([]fsm.Key, 1000)
	for i := range keys {
		keys[i] = fsm.K(benchAt(i).ID)
	}
	b.ReportAllocs()
	err := db.View(b.Context(), func(tx *fsm.Tx) error {
		for i := 0; b.Loop(); i++ {
			if _, err := benchRows.Get(tx, fsm.Global, keys[i%len(keys)]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkList100(b *testing.B) {
	db := benchStore(b)
	fill(b, db, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		err := db.View(b.Context(), func(tx *fsm.Tx) error {
			n := 0
			for _, err := range benchRows.List(tx, fsm.Global) {
				if err != nil {
					return err
				}
				if n++; n == 100 {
					break
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut is one Update with one row, from closure to applied, over a log without network or disk.
func BenchmarkPut(b *testing.B) {
	db := benchStore(b)
	db.SetLog(&localLog{db: db})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := db.Update(b.Context(), func(tx *fsm.Tx) error { return benchRows.Put(tx, benchAt(i)) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate reads a row and writes it back changed.
func BenchmarkUpdate(b *testing.B) {
	db := benchStore(b)
	fill(b, db, 100_000)
	db.SetLog(&localLog{db: db, next: db.Position().Index})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		err := db.Update(b.Context(), func(tx *fsm.Tx) error {
			r, err := benchRows.Get(tx, fsm.Global, fsm.K(benchAt(i%100_000).ID))
			if err != nil {
				return err
			}
			r.Bytes[0]++
			return benchRows.Put(tx, r)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply applies 64 small batches a time: in one entry, as the leader
// coalesces them, or in 64 entries.
func BenchmarkApply(b *testing.B) {
	for _, shape := range []struct {
		name    string
		perCall int
	}{{"1x64", 1}, {"64x1", 64}} {
		b.Run(shape.name, func(b *testing.B) {
			db := benchStore(b)
			const pool = 1000 * 64
			batches := benchBatches(b, 0, pool)
			index, at, rows := uint64(0), 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if at == pool { // more rows are needed than the pool holds
					b.StopTimer()
					batches, at = benchBatches(b, rows, pool), 0
					b.StartTimer()
				}
				entries := make([]fsm.Entry, 0, 64)
				for range shape.perCall {
					k := 64 / shape.perCall
					index++
					entries = append(entries, fsm.Entry{Index: index, Term: 1, Data: fsm.EncodeEntry(time.Now(), batches[at:at+k])})
					at, rows = at+k, rows+k
				}
				if _, err := db.Apply(entries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "batches/s")
		})
	}
}

func BenchmarkSnapshot100k(b *testing.B) {
	db := benchStore(b)
	fill(b, db, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s, err := db.OpenStream()
		if err != nil {
			b.Fatal(err)
		}
		n, err := s.WriteTo(io.Discard)
		s.Close()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}

func BenchmarkRestore100k(b *testing.B) {
	db := benchStore(b)
	fill(b, db, 100_000)
	s, err := db.OpenStream()
	if err != nil {
		b.Fatal(err)
	}
	var buf bytes.Buffer
	if _, err := s.WriteTo(&buf); err != nil {
		b.Fatal(err)
	}
	s.Close()
	to := benchStore(b)
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if err := to.Restore(bytes.NewReader(buf.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}
