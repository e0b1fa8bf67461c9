package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quis-idp/quis/fsm/stream"
)

// A life says what becomes of a table's rows when a backup is restored.
type life uint8

const (
	lasting life = iota // they come back
	passing             // they are void: sessions, spent marks
	own                 // they are the running store's, whatever the backup holds
)

func lifeOf(transient, owned bool) life {
	switch {
	case owned:
		return own
	case transient:
		return passing
	}
	return lasting
}

// Contents are what a whole stream holds.
type Contents struct {
	Position Position
	Rows     map[uint16]int64 // by number of table or counter, expired ones too
	Entries  int64            // of journals
}

// Inspect reads a whole stream and checks what can be checked without a store. seen,
// if not nil, gets every row with its payload, which it must not keep.
func Inspect(r io.Reader, seen func(table uint16, payload []byte) error) (Contents, error) {
	c := Contents{Rows: map[uint16]int64{}}
	var st state
	err := readStream(r, func(key, value []byte) error {
		switch key[0] {
		case spaceJournal:
			c.Entries++
		case spaceSystem:
			return st.take(key, value)
		case spaceData:
			row, err := decodeRow(value)
			if err != nil {
				return err
			}
			table := tableOf(key)
			c.Rows[table]++
			if seen != nil {
				return seen(table, row.payload)
			}
		}
		return nil
	})
	if err == nil && st.applied == 0 {
		err = fmt.Errorf("store stream has no position: %w", ErrCorrupt)
	}
	c.Position = st.position()
	return c, err
}

// tableOf returns the number of the table that a raw key belongs to, 0: to none.
func tableOf(key []byte) uint16 {
	switch {
	case inData(key), inIndex(key):
		return binary.BigEndian.Uint16(key[1:])
	case len(key) >= 9+minDataKey && key[0] == spaceExpiry:
		return binary.BigEndian.Uint16(key[10:])
	}
	return 0
}

// A Raw is a row outside of any store; see [Table.Raw].
type Raw struct{ key, payload []byte }

// Raw returns v as a row to be put into a stream. The table must have neither indexes nor expiry.
func (t *Table[T]) Raw(v *T) (Raw, error) {
	payload, err := marshal(t.def.name, v)
	if t.indexes != nil || t.spec.Expires != nil {
		err = errors.Join(err, fmt.Errorf("%s: indexed rows cannot be put into a stream: %w", t.def.name, ErrRefused))
	}
	return Raw{dataKey(t.def.num, t.scopeOf(v), t.spec.Key(v)), payload}, err
}

// Decode reads a payload that Inspect has shown; ok is false for another table's.
func (t *Table[T]) Decode(table uint16, payload []byte) (v *T, ok bool, err error) {
	if table != t.def.num {
		return nil, false, nil
	}
	v, err = t.decode(&row{payload: payload})
	return v, true, err
}

// Adopt copies a backup's stream from r to w as it may be restored here: without what
// is transient, with this store's own tables and Raft configuration in the place of the
// backup's, with put besides, and at no earlier time than the state's. The stream it
// writes stands one entry behind whichever has come further, which it returns.
func (db *DB) Adopt(w io.Writer, r io.Reader, put ...Raw) (Position, error) {
	eng, snap, here, err := db.snapshot()
	if err != nil {
		return Position{}, err
	}
	defer eng.release()
	defer snap.Close()
	lives := map[uint16]life{}
	for _, d := range db.cfg.Schema {
		def := d.definition()
		lives[def.num] = def.life
	}
	var st state
	out := stream.NewWriter(w)
	err = readStream(r, func(key, value []byte) error {
		if key[0] == spaceSystem {
			mine, err := st.takeSystem(key, value)
			if mine || err != nil {
				return err
			}
		}
		if lives[tableOf(key)] != lasting {
			return nil
		}
		return out.Put(key, value)
	})
	if err == nil && st.applied == 0 {
		err = fmt.Errorf("store stream has no position: %w", ErrCorrupt)
	}
	if err == nil {
		err = st.plausible(here, time.Now())
	}
	if err != nil {
		return Position{}, err
	}
	err = iterate(snap, &pebble.IterOptions{}, false, func(key, value []byte) bool {
		return lives[tableOf(key)] != own || out.Put(key, value) == nil // whose first error stays
	})
	st.applied, st.term = max(st.applied, here.applied)+1, here.term
	st.stamp = max(st.stamp, here.stamp)
	st.config, st.configIndex = here.config, here.configIndex
	for _, p := range put {
		err = errors.Join(err, out.Put(p.key, encodeRow(st.applied, 0, nil, p.payload)))
	}
	err = errors.Join(err, out.Put(keyState, st.encode()))
	if st.config != nil {
		err = errors.Join(err, out.Put(keyConfig, append(binary.BigEndian.AppendUint64(nil, st.configIndex), st.config...)))
	}
	return st.position(), errors.Join(err, out.Close())
}

// takeSystem reads a record about the store itself, which every node must be able to load:
// one that it could not would end them all. mine is false for what is copied as it is.
func (s *state) takeSystem(key, value []byte) (mine bool, err error) {
	switch name := string(key); {
	case name == string(keyState), name == string(keyConfig):
		return true, s.take(key, value)
	case len(key) == 10 && key[1] == 'b' && len(value) >= 8 && (len(value)-8)%17 == 0: // see memory
		return false, nil
	case len(key) == 4 && key[1] == 'j' && len(value) == 52: // see journal
		return false, nil
	}
	return false, fmt.Errorf("store stream: record %.40q: %w", key, ErrCorrupt)
}

const (
	farIndex = 1 << 56        // no log gets there, and from there it could still go on
	farTime  = 24 * time.Hour // that a clock may have been fast when a backup was made
)

// plausible refuses a position that the cluster could never come back from: its log
// index and its time only go forward.
func (s *state) plausible(here state, now time.Time) error {
	if s.applied > farIndex {
		return fmt.Errorf("store stream: log index %d: %w", s.applied, ErrCorrupt)
	}
	if limit := max(now.UnixMilli(), here.stamp) + farTime.Milliseconds(); s.stamp > limit {
		return fmt.Errorf("the backup's time is %s, which is still to come, and no cluster's time goes back: take an earlier backup, or wait: %w",
			time.UnixMilli(s.stamp).UTC().Format(time.RFC3339), ErrRefused)
	}
	return nil
}

// take reads one of the two records that a state is stored as.
func (s *state) take(key, value []byte) error {
	switch string(key) {
	case string(keyState):
		if len(value) != 57 || value[0] != 1 {
			return fmt.Errorf("store state: %w", ErrCorrupt)
		}
		s.applied = binary.BigEndian.Uint64(value[1:])
		s.term = binary.BigEndian.Uint64(value[9:])
		s.stamp = int64(binary.BigEndian.Uint64(value[17:]))
		copy(s.chain[:], value[25:])
		if s.stamp < 0 || time.UnixMilli(s.stamp).Year() > 9999 {
			return fmt.Errorf("store state: time: %w", ErrCorrupt)
		}
	case string(keyConfig):
		if len(value) < 8 {
			return fmt.Errorf("store state: configuration: %w", ErrCorrupt)
		}
		s.configIndex, s.config = binary.BigEndian.Uint64(value), append([]byte(nil), value[8:]...)
	}
	return nil
}
