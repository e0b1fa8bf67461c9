package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func openMem(t testing.TB) *DB {
	t.Helper()
	db, err := Open(Config{Dir: "/store", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

var testTime = time.UnixMilli(1_700_000_000_000)

// newBatch has an ID of its own and a deadline that entryOf's stamp does not reach.
func newBatch(id byte, ops ...op) *batch {
	return &batch{id: [16]byte{id}, deadline: testTime.UnixMilli() + 1000, ops: ops}
}

func entryOf(index uint64, batches ...[]byte) Entry {
	return Entry{Index: index, Term: 1, Data: EncodeEntry(testTime, batches)}
}

// hostileBatches are batches that no transaction makes, with the verdict that
// every replica must give them.
func hostileBatches() map[string]struct {
	raw  []byte
	want Verdict
} {
	key := dataKey(1, Global, K("k"))
	row := dataKey(1, Global, K("row")) // holds a row that is no counter
	with := func(change func(b *batch)) []byte {
		b := newBatch(9)
		change(b)
		return b.encode()
	}
	read := func(key []byte) []byte { return with(func(b *batch) { b.reads = []readCheck{{key: key}} }) }
	walk := func(start, end []byte) []byte {
		return with(func(b *batch) { b.ranges = []rangeCheck{{start: start, end: end, digest: newDigest().sum()}} })
	}
	ops := func(ops ...op) []byte { return newBatch(9, ops...).encode() }
	data := []byte{spaceData}
	return map[string]struct {
		raw  []byte
		want Verdict
	}{
		"empty":                     {nil, Refused},
		"one byte":                  {[]byte{batchFormat}, Refused},
		"too large":                 {ops(op{kind: opPut, key: key, value: make([]byte, MaxRow+1)}), Refused},
		"over the batch limit":      {bytes.Repeat([]byte{batchFormat}, MaxBatch+1), Refused},
		"over the entry limit":      {bytes.Repeat([]byte{batchFormat}, MaxEntry+1), Refused},
		"read of nothing":           {read(nil), Refused},
		"read of the state":         {read(keyState), Refused},
		"read of a journal":         {read(journalPrefix(spaceJournal, 4)), Refused},
		"read of a short key":       {read([]byte{spaceData, 0}), Refused},
		"read of a short entry":     {read([]byte{spaceIndex, 0, 0, 0}), Refused},
		"range of nothing":          {walk(nil, nil), Refused},
		"range turned round":        {walk([]byte("dz"), []byte("da")), Refused},
		"range without end":         {walk(data, nil), Refused},
		"range over everything":     {walk([]byte{0}, []byte{0xff}), Refused},
		"range over two spaces":     {walk(data, []byte{spaceIndex, 1}), Refused},
		"range over all expiries":   {walk([]byte{spaceExpiry}, []byte{spaceExpiry + 1}), Refused},
		"range that is not so":      {walk(data, []byte{spaceData + 1}), Conflict},
		"write of the state":        {ops(op{kind: opPut, key: keyState, value: []byte("x")}), Refused},
		"write of a short key":      {ops(op{kind: opDelete, key: data}), Refused},
		"index entry elsewhere":     {ops(op{kind: opPut, key: key, indexes: []indexRef{{key: keyState}}}), Refused},
		"short index entry":         {ops(op{kind: opPut, key: key, indexes: []indexRef{{key: []byte{spaceIndex}}}}), Refused},
		"unknown operation":         {ops(op{kind: 99, key: key}), Refused},
		"expiry before 1970":        {ops(op{kind: opPut, key: key, expires: -5}), Refused},
		"purge before 1970":         {ops(op{kind: opPurge, expires: -5, delta: 1}), Refused},
		"purge of everything":       {ops(op{kind: opPurge, expires: 1, delta: 1 << 40}), Refused},
		"purge of less than none":   {ops(op{kind: opPurge, expires: 1, delta: -1}), Refused},
		"add to a row":              {ops(op{kind: opAdd, key: row, delta: 1}), Refused},
		"max of a row":              {ops(op{kind: opMax, key: row, delta: 1}), Refused},
		"add to its own row":        {ops(op{kind: opPut, key: key, value: []byte("x")}, op{kind: opAdd, key: key}), Refused},
		"deadline before 1970":      {with(func(b *batch) { b.deadline = -1 }), Refused},
		"deadline after year 9999":  {with(func(b *batch) { b.deadline = 1 << 60 }), Refused},
		"deadline too far to honor": {with(func(b *batch) { b.deadline = testTime.UnixMilli() + longestMemory + 1 }), Late},
		"one unique value twice": {ops(
			op{kind: opPut, key: key, indexes: []indexRef{{key: append(indexPrefix(1, 1, Global), 'v'), unique: true}}},
			op{kind: opPut, key: row, indexes: []indexRef{{key: append(indexPrefix(1, 1, Global), 'v'), unique: true}}},
		), Conflict},
		"an entry both unique and not": {ops(
			op{kind: opPut, key: key, indexes: []indexRef{{key: append(indexPrefix(1, 1, Global), 'v'), unique: true}}},
			op{kind: opDelete, key: key},
			op{kind: opPut, key: row, value: []byte("row"), indexes: []indexRef{{key: append(indexPrefix(1, 1, Global), 'v')}}},
		), Applied},
		"a row twice": {ops(op{kind: opPut, key: key}, op{kind: opDelete, key: key}, op{kind: opDelete, key: key}), Applied},
	}
}

func TestHostileBatchesGetAVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range hostileBatches() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openMem(t)
			setup := newBatch(1, op{kind: opPut, key: dataKey(1, Global, K("row")), value: []byte("row")})
			good := newBatch(2, op{kind: opPut, key: dataKey(1, Global, K("good"))})
			if _, err := db.Apply([]Entry{entryOf(1, setup.encode())}); err != nil {
				t.Fatal(err)
			}
			v, err := db.Apply([]Entry{entryOf(2, c.raw, good.encode())})
			if err != nil {
				t.Fatalf("the replica stops: %v", err)
			}
			if want := []Verdict{c.want, Applied}; !slices.Equal(v[0], want) {
				t.Errorf("got %v, want %v", v[0], want)
			}
			if err := CheckBatch(c.raw); (c.want == Refused) != errors.Is(err, ErrRefused) && name[:3] != "add" && name[:3] != "max" {
				t.Errorf("CheckBatch: got %v", err)
			}
		})
	}
}

// A purge must not touch what lives, whatever it is told.
func TestPurgeFollowsTheStatesTime(t *testing.T) {
	t.Parallel()
	db := openMem(t)
	now := testTime.UnixMilli()
	put := func(name string, expires int64) op {
		return op{kind: opPut, key: dataKey(1, Global, K(name)), expires: expires}
	}
	first := newBatch(1, put("past", now-1), put("now", now), put("soon", now+1), put("never", 0))
	purge := newBatch(2, op{kind: opPurge, expires: maxMillis, delta: purgeLimit})
	if _, err := db.Apply([]Entry{entryOf(1, first.encode()), entryOf(2, purge.encode())}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"past": false, "now": false, "soon": true, "never": true} {
		v, err := get(db.eng.db, dataKey(1, Global, K(name)))
		if err != nil || (v != nil) != want {
			t.Errorf("%s: stands: %v, %v, want %v", name, v != nil, err, want)
		}
	}
	if v, err := get(db.eng.db, expiryKey(now+1, dataKey(1, Global, K("soon")))); err != nil || v == nil {
		t.Errorf("the expiry of a living row is gone: %v", err)
	}
}

// An entry of a newer release, or one that is damaged, stops the replica for good
// and leaves it at the entry before.
func TestUnreadableEntryStopsTheReplica(t *testing.T) {
	t.Parallel()
	newer := newBatch(2).encode()
	newer[0] = batchFormat + 1
	for name, e := range map[string]Entry{
		"newer batch":  entryOf(2, newBatch(1, op{kind: opPut, key: dataKey(1, Global, K("k"))}).encode(), newer),
		"newer entry":  {Index: 2, Data: []byte{entryFormat + 1}},
		"empty":        {Index: 2, Data: []byte{}},
		"longer":       {Index: 2, Data: append(EncodeEntry(testTime, nil), 0)},
		"false length": {Index: 2, Data: binary.AppendUvarint([]byte{entryFormat, 0}, 1<<62)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openMem(t)
			if _, err := db.Apply([]Entry{entryOf(1, newBatch(7).encode())}); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Apply([]Entry{e}); err == nil {
				t.Fatal("applied")
			}
			if _, err := db.Apply([]Entry{entryOf(2, newBatch(1, op{kind: opPut, key: dataKey(1, Global, K("k"))}).encode())}); err == nil {
				t.Error("went on after a failure")
			}
			if _, err := db.Flush(); err == nil {
				t.Error("flushed after a failure")
			}
			if got := db.Position().Index; got != 1 {
				t.Errorf("stands at %d, want 1", got)
			}
		})
	}
}
