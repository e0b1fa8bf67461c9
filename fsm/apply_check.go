package fsm

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// batch verifies everything the batch read, then writes everything, or nothing.
// Whatever a batch holds, its verdict depends on nothing but the state and itself.
func (a *applier) batch(b *batch) (Verdict, error) {
	// A deadline beyond what is remembered could not be kept exactly-once. An honest
	// proposer whose clock is that far ahead tries again by the state's time.
	if a.now > b.deadline || b.deadline > a.now+longestMemory {
		return Late, nil
	}
	if b.term != 0 && b.term != a.st.term {
		return Fenced, nil
	}
	for _, c := range b.reads {
		if same, err := a.unchanged(c); err != nil || !same {
			return Conflict, err
		}
	}
	for _, c := range b.ranges {
		if same, err := a.rangeUnchanged(c); err != nil || !same {
			return Conflict, err
		}
	}
	if free, err := a.uniquesFree(b); err != nil || !free {
		return Conflict, err
	}
	if sound, err := a.countersSound(b); err != nil || !sound {
		return Refused, err
	}
	for i := range b.ops {
		if err := a.op(&b.ops[i]); err != nil {
			return 0, err
		}
	}
	return Applied, nil
}

func (a *applier) unchanged(c readCheck) (bool, error) {
	if inIndex(c.key) {
		v, err := a.known.entry(c.key)
		return indexRevision(v) == c.rev, err
	}
	s, err := a.known.row(c.key)
	if err != nil {
		return false, err
	}
	if s == nil {
		return c.rev == 0, nil
	}
	return s.rev == c.rev && live(s.expires, a.now) == c.live, nil
}

func (a *applier) rangeUnchanged(c rangeCheck) (bool, error) {
	d := newDigest()
	var bad error
	err := iterate(a.b, &pebble.IterOptions{LowerBound: c.start, UpperBound: c.end}, false, func(key, value []byte) bool {
		k, err := seenAt(key, value, a.now)
		d.add(k)
		bad = err
		return err == nil
	})
	return d.sum() == c.digest, errors.Join(err, bad)
}

// uniquesFree guards unique indexes whatever the proposer had read: an entry may
// be taken only from a row that this batch itself writes or deletes.
func (a *applier) uniquesFree(b *batch) (bool, error) {
	var taken map[string][]byte // index entry -> row, within this batch
	var touched map[string]bool
	for i := range b.ops {
		o := &b.ops[i]
		for _, ref := range o.indexes {
			if !ref.unique {
				continue
			}
			if taken == nil {
				taken, touched = map[string][]byte{}, rowsWritten(b)
			}
			if other, ok := taken[string(ref.key)]; ok && string(other) != string(o.key) {
				return false, nil
			}
			taken[string(ref.key)] = o.key
			v, err := a.known.entry(ref.key)
			if err != nil {
				return false, err
			}
			if v == nil {
				continue
			}
			target, err := indexTarget(v)
			if err != nil {
				return false, err
			}
			if string(target) != string(o.key) && !touched[string(target)] {
				return false, nil
			}
		}
	}
	return true, nil
}

func rowsWritten(b *batch) map[string]bool {
	rows := map[string]bool{}
	for i := range b.ops {
		if k := b.ops[i].kind; k == opPut || k == opDelete {
			rows[string(b.ops[i].key)] = true
		}
	}
	return rows
}

// countersSound reports whether every add and max meets a number or nothing. No
// transaction writes a row and a number under one key.
func (a *applier) countersSound(b *batch) (bool, error) {
	var puts map[string]bool
	for i := range b.ops {
		o := &b.ops[i]
		if o.kind != opAdd && o.kind != opMax {
			continue
		}
		if puts == nil {
			puts = map[string]bool{}
			for i := range b.ops {
				if b.ops[i].kind == opPut {
					puts[string(b.ops[i].key)] = true
				}
			}
		}
		if puts[string(o.key)] {
			return false, nil
		}
		s, err := a.known.row(o.key)
		if err != nil {
			return false, err
		}
		if s != nil && live(s.expires, a.now) && s.count == nil {
			return false, nil
		}
	}
	return true, nil
}
