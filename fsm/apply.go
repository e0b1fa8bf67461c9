package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quis-idp/quis/fsm/notice"
)

// An Entry is one committed log entry: a proposal made by EncodeEntry, or a new
// Raft configuration to keep.
type Entry struct {
	Index, Term uint64
	Data        []byte
	Config      []byte
}

// maxCommit is about how many bytes one engine commit holds when many entries are
// applied at once, as in a replay.
const maxCommit = 4 << 20

// Apply applies committed entries and returns the verdicts of each entry's
// batches, usually in one engine commit. How entries are grouped into calls has
// no influence on the result. Entries that were applied before are passed over.
//
// An error means that this replica cannot go on: the engine failed, or the log
// holds something from a newer release. The caller must stop the process; any
// further Apply reports the same.
func (db *DB) Apply(entries []Entry) ([][]Verdict, error) {
	if err := db.failure.get(); err != nil {
		return nil, err
	}
	eng, st, err := db.acquire()
	if err != nil {
		return nil, err
	}
	defer eng.release()
	a := &applier{db: db, eng: eng, st: st, mem: db.remembered}
	a.begin()
	defer a.end()
	verdicts, err := a.entries(entries)
	if err != nil {
		db.fail(err)
		return nil, err
	}
	return verdicts, nil
}

// An applier carries out one Apply.
type applier struct {
	db      *DB
	eng     *engine
	known   known         // what was read and written since the last commit
	b       *pebble.Batch // what was written since then
	st      state
	mem     *memory
	changes []notice.Change
	now     int64  // the state's time for the current entry
	ordinal uint32 // journal entries of the current log entry so far
}

func (a *applier) begin() {
	a.b = a.eng.db.NewIndexedBatch()
	a.known = newKnown(a.eng.db)
	a.changes = nil
}

func (a *applier) end() {
	a.known.close()
	a.b.Close()
}

func (a *applier) entries(entries []Entry) ([][]Verdict, error) {
	verdicts := make([][]Verdict, len(entries))
	fresh := false // anything since the last commit
	for i, e := range entries {
		if e.Index <= a.st.applied {
			continue
		}
		var err error
		if verdicts[i], err = a.entry(e); err != nil {
			return nil, fmt.Errorf("apply log entry %d: %w", e.Index, err)
		}
		fresh = true
		check := a.db.due(e.Index)
		if !check && a.b.Len() < maxCommit {
			continue
		}
		if err := a.commit(); err != nil {
			return nil, err
		}
		if check {
			a.db.checkpoint(a.eng, a.st)
		}
		a.end()
		a.begin()
		fresh = false
	}
	if !fresh {
		return verdicts, nil
	}
	return verdicts, a.commit()
}

// commit makes everything since the last commit visible, with the state that goes with it.
func (a *applier) commit() error {
	if err := a.b.Set(keyState, a.st.encode(), nil); err != nil {
		return engineError("write", err)
	}
	if err := a.eng.rows.Written(a.st.applied, a.b); err != nil {
		return err
	}
	db := a.db
	db.mu.Lock()
	db.committing = true
	db.mu.Unlock()
	err := a.b.Commit(pebble.NoSync)
	db.mu.Lock()
	db.committing = false
	release := db.unshare()
	if err == nil {
		db.st = a.st
		db.hub.Publish(a.st.applied, a.changes)
	}
	db.mu.Unlock()
	release()
	if err != nil {
		return engineError("write", err)
	}
	db.settle() // the log has gone on from what was restored
	db.applied.Advance(a.st.applied)
	return nil
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
	done := rememberedEntry{index: e.Index}
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
			verdicts[i] = first
			continue
		}
		if verdicts[i], err = a.batch(b); err != nil {
			return nil, err
		}
		if verdicts[i] != Late { // which it will be for ever
			a.mem.add(&done, b, verdicts[i])
		}
	}
	a.continueChain(e, verdicts)
	return verdicts, a.mem.remember(a.b, done)
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
