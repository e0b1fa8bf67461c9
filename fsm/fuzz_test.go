package fsm

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"
)

// seedBatches are one batch of each kind, and the hostile ones.
func seedBatches() [][]byte {
	key := dataKey(7, "ten_a", K("row", "1"))
	b := newBatch(1,
		op{kind: opPut, key: key, expires: 5, value: []byte("payload"), indexes: []indexRef{{key: append(indexPrefix(7, 1, "ten_a"), "x"...), unique: true}}},
		op{kind: opDelete, key: key},
		op{kind: opAdd, key: key, delta: -3, expires: 9},
		op{kind: opMax, key: key, delta: 3},
		op{kind: opAppend, key: []byte("ten_a"), journal: 4, value: []byte("event")},
		op{kind: opPurge, expires: 77, delta: 10},
	)
	b.term = 3
	b.reads = []readCheck{{key: key, rev: 12, live: true}, {key: indexPrefix(7, 1, "ten_a")}}
	b.ranges = []rangeCheck{{start: dataPrefix(7, "ten_a"), end: prefixEnd(dataPrefix(7, "ten_a")), digest: newDigest().sum()}}
	seeds := [][]byte{b.encode(), newBatch(2).encode()}
	for _, h := range hostileBatches() {
		if len(h.raw) < 1<<10 {
			seeds = append(seeds, h.raw)
		}
	}
	return seeds
}

// FuzzBatch: whatever decodes is what encodes to the same, and Apply has a verdict
// for anything, the same on two replicas.
func FuzzBatch(f *testing.F) {
	for _, s := range seedBatches() {
		f.Add(s)
	}
	a, b := openMem(f), openMem(f)
	index := uint64(0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		decoded, err := decodeBatch(raw)
		if err == nil {
			again, err := decodeBatch(decoded.encode())
			if err != nil || !reflect.DeepEqual(again, decoded) {
				t.Fatalf("round trip: %+v became %+v, %v", decoded, again, err)
			}
		}
		if errors.Is(err, errNewFormat) {
			return // stops the replica, as it must
		}
		index++
		e := entryOf(index, raw, raw)
		va, err := a.Apply([]Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		vb, err := b.Apply([]Entry{e})
		if err != nil || !slices.Equal(va[0], vb[0]) || a.Position().Chain != b.Position().Chain {
			t.Fatalf("verdicts %v and %v, %v", va, vb, err)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(EncodeEntry(testTime, seedBatches()))
	f.Add(EncodeEntry(testTime, [][]byte{nil, {}}))
	f.Add(EncodeEntry(time.Unix(1<<50, 0), nil))
	f.Add([]byte{entryFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		stamp, batches, err := decodeEntry(raw)
		if err != nil {
			return
		}
		again, same, err := decodeEntry(EncodeEntry(time.UnixMilli(stamp), batches))
		if err != nil || again != stamp || !slices.EqualFunc(same, batches, bytes.Equal) {
			t.Errorf("round trip: %v", err)
		}
	})
}

func FuzzRow(f *testing.F) {
	ref := indexRef{key: append(indexPrefix(1, 2, "t"), 'k'), unique: true}
	f.Add(encodeRow(1, 2, []indexRef{ref, ref}, []byte("payload")))
	f.Add(encodeRow(1, -2, nil, nil))
	f.Add(make([]byte, 18))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decodeRow(raw)
		if err != nil {
			return
		}
		again, err := decodeRow(encodeRow(r.rev, r.expires, r.indexes(), r.payload))
		if err != nil || again.rev != r.rev || again.expires != r.expires || !bytes.Equal(again.payload, r.payload) ||
			!reflect.DeepEqual(again.indexes(), r.indexes()) {
			t.Errorf("round trip: %+v became %+v, %v", r, again, err)
		}
	})
}

// FuzzKey: parts keep their order and cannot flow into each other.
func FuzzKey(f *testing.F) {
	f.Add("a", "b", "a", "\x00b")
	f.Add("", "\x00\x01", "\x00", "\x01")
	f.Add("\xff", "", "\x00\xff", "\x00")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		k, l := K(a, b), K(c, d)
		if got, want := bytes.Compare([]byte(k), []byte(l)), slices.Compare([]string{a, b}, []string{c, d}); got != want {
			t.Errorf("K(%q, %q) and K(%q, %q) compare as %d, want %d", a, b, c, d, got, want)
		}
		num, scope, key, err := splitDataKey(dataKey(3, Scope(a), K(b)))
		if err != nil || num != 3 || scope != Scope(a) || key != K(b) {
			t.Errorf("split: %d %q %q, %v", num, scope, key, err)
		}
		_, _, _, _ = splitDataKey([]byte(a))
		if end := prefixEnd([]byte(k)); end != nil && (string(end) <= string(k)+"\xff\xff" || bytes.HasPrefix(end, []byte(k))) {
			t.Errorf("prefixEnd(%q) = %q", k, end)
		}
	})
}

// FuzzCursor: what comes from outside never widens a listing beyond its scope.
func FuzzCursor(f *testing.F) {
	f.Add(encodeCursor(K("row")), true)
	f.Add("_____", false)
	f.Add("not base64!", true)
	f.Fuzz(func(t *testing.T, cursor string, reverse bool) {
		prefix := dataPrefix(1, "ten_a")
		opts := []ListOption{After(cursor)}
		if reverse {
			opts = append(opts, Reverse())
		}
		start, end, _ := bounds(prefix, opts)
		if string(start) < string(prefix) || bytes.Compare(start, end) < 0 && string(end) > string(prefixEnd(prefix)) {
			t.Errorf("cursor %q lists [%q, %q)", cursor, start, end)
		}
		p, err := ParseJournalPosition(cursor)
		if err != nil {
			return
		}
		if again, err := ParseJournalPosition(p.String()); err != nil || again != p {
			t.Errorf("position %v became %v, %v", p, again, err)
		}
	})
}

func FuzzStream(f *testing.F) {
	db := openMem(f)
	if _, err := db.Apply([]Entry{entryOf(1, seedBatches()...), {Index: 2, Config: []byte("members")}}); err != nil {
		f.Fatal(err)
	}
	s, err := db.OpenStream()
	if err != nil {
		f.Fatal(err)
	}
	var whole bytes.Buffer
	_, err = s.WriteTo(&whole)
	if err := errors.Join(err, s.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()/2])
	f.Add([]byte(streamMagic + "\x00"))
	f.Add([]byte(streamMagic + "\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		read := 0
		err := readStream(bytes.NewReader(raw), func(key, value []byte) error {
			read += len(key) + len(value)
			return nil
		})
		if read > len(raw) {
			t.Errorf("read %d bytes out of %d", read, len(raw))
		}
		if err == nil && !bytes.HasPrefix(raw, []byte(streamMagic)) {
			t.Error("took something else for a stream")
		}
	})
}

const streamMagic = "quis-fsm-stream-1\n"
