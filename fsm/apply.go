package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// An Entry is one committed log entry: a proposal made by EncodeEntry, or a new
// Raft configuration to keep.
type Entry struct {
	Index, Term uint64
	Data        []byte
	Config      []byte
}

// Apply applies committed entries in one engine commit and returns the verdicts
// of each entry's batches. How entries are grouped into calls has no influence on
// the result. Entries that were applied before are passed over.
//
// An error means that this replica cannot go on: the engine failed, or the log
// holds something from a newer release. The caller must stop the process.
func (db *DB) Apply(entries []Entry) ([][]Verdict, error) {
	eng, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer eng.release()
	db.mu.RLock()
	a := &applier{db: db, b: eng.db.NewIndexedBatch(), st: db.st, mem: db.remembered}
	db.mu.RUnlock()
	defer a.b.Close()
	verdicts := make([][]Verdict, len(entries))
	for i, e := range entries {
		if e.Index <= a.st.applied {
			continue
		}
		if verdicts[i], err = a.entry(e); err != nil {
			return nil, fmt.Errorf("apply log entry %d: %w", e.Index, err)
		}
	}
	if err := a.b.Set(keyState, a.st.encode(), nil); err != nil {
		return nil, engineError("write", err)
	}
	if err := a.b.Commit(pebble.NoSync); err != nil {
		return nil, engineError("write", err)
	}
	db.mu.Lock()
	db.st = a.st
	db.mu.Unlock()
	db.hub.publish(a.st.applied, a.changes)
	db.applied.advance(a.st.applied)
	return verdicts, nil
}

// An applier carries out one Apply.
type applier struct {
	db      *DB
	b       *pebble.Batch
	st      state
	mem     *memory
	changes []change
	now     int64  // the state's time for the current entry
	ordinal uint32 // journal entries of the current log entry so far
}

func (a *applier) entry(e Entry) ([]Verdict, error) {
	a.st.applied, a.st.term = e.Index, e.Term
	if e.Config != nil {
		a.st.config, a.st.configIndex = e.Config, e.Index
		return nil, a.b.Set(keyConfig, append(binary.BigEndian.AppendUint64(nil, e.Index), e.Config...), nil)
	}
	stamp, batches, err := decodeEntry(e.Data)
	if err != nil {
		return nil, err
	}
	a.st.stamp = max(a.st.stamp, stamp)
	a.now, a.ordinal = a.st.stamp, 0
	if err := a.mem.forget(a.b, a.now); err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(batches))
	var ids [][16]byte
	var decided []Verdict
	var until int64
	for i, raw := range batches {
		b, err := decodeBatch(raw)
		if errors.Is(err, errNewFormat) {
			return nil, err
		}
		if err != nil {
			verdicts[i] = Refused
			continue
		}
		if first, ok := a.mem.byID[b.id]; ok {
			verdicts[i] = first.Verdict
			continue
		}
		if verdicts[i], err = a.batch(b); err != nil {
			return nil, err
		}
		if verdicts[i] != Late {
			ids, decided = append(ids, b.id), append(decided, verdicts[i])
			a.mem.byID[b.id] = Outcome{Index: e.Index, Verdict: verdicts[i]}
			until = max(until, min(b.deadline, a.now+longestMemory))
		}
	}
	a.continueChain(e, verdicts)
	return verdicts, a.mem.remember(a.b, e.Index, until, ids, decided)
}

// continueChain hashes the entry and what became of it onto all that was before.
func (a *applier) continueChain(e Entry, verdicts []Verdict) {
	data := sha256.Sum256(e.Data)
	h := sha256.New()
	h.Write(a.st.chain[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], e.Index)
	h.Write(n[:])
	h.Write(data[:])
	for _, v := range verdicts {
		h.Write([]byte{byte(v)})
	}
	a.st.chain = [32]byte(h.Sum(nil))
}

// batch verifies everything the batch read, then writes everything, or nothing.
func (a *applier) batch(b *batch) (Verdict, error) {
	if a.now > b.deadline {
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
	for i := range b.ops {
		if err := a.op(&b.ops[i]); err != nil {
			return 0, err
		}
	}
	return Applied, nil
}

func (a *applier) unchanged(c readCheck) (bool, error) {
	v, err := get(a.b, c.key)
	if err != nil {
		return false, err
	}
	if v == nil {
		return c.rev == 0, nil
	}
	k, err := seenAt(c.key, v, a.now)
	return k.rev == c.rev && k.live == c.live, err
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
	taken := map[string]string{} // index entry -> row, within this batch
	touched := map[string]bool{}
	for _, o := range b.ops {
		if o.kind == opPut || o.kind == opDelete {
			touched[string(o.key)] = true
		}
	}
	for _, o := range b.ops {
		for _, ref := range o.indexes {
			if !ref.unique {
				continue
			}
			if other, ok := taken[string(ref.key)]; ok && other != string(o.key) {
				return false, nil
			}
			taken[string(ref.key)] = string(o.key)
			v, err := get(a.b, ref.key)
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
