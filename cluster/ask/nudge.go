package ask

import (
	"time"

	"github.com/hashicorp/raft"
)

// A CommitNote says, in an answer of the leader, that the entry at Index is
// committed. EntryTerm 0 says nothing.
type CommitNote struct {
	Index     uint64 `cbor:"1,keyasint,omitempty"`
	EntryTerm uint64 `cbor:"2,keyasint,omitempty"`
	Term      uint64 `cbor:"3,keyasint,omitempty"` // the leader's
}

// Vouch describes the committed entry at index, as far as this leader can. It speaks
// only for a term that this node leads: under another it would pass for its leader.
func (l *Leader) Vouch(index uint64) CommitNote {
	term := l.cfg.Leading()
	var e raft.Log
	if term == 0 || l.life.log.GetLog(index, &e) != nil {
		return CommitNote{}
	}
	return CommitNote{Index: index, EntryTerm: e.Term, Term: term}
}

// nudge lets Raft know at once what the leader at id has said about its commits. In
// an idle cluster Raft itself would tell only after CommitTimeout, and whoever
// waits for his own write would wait for that.
//
// It is an ordinary message of that leader, without entries, that came another way:
// Raft checks the leader's term, and that the entry here is the very one that was
// committed there, and ignores it otherwise.
func (l *Leader) nudge(c CommitNote, id, address string) {
	if c.EntryTerm == 0 || l.cfg.DB.Position().Index >= c.Index || !l.nudging.CompareAndSwap(false, true) {
		return
	}
	defer l.nudging.Store(false)
	const step = 200 * time.Microsecond
	for range l.cfg.CommitTimeout / step {
		if l.life.raft.LastIndex() >= c.Index {
			break
		}
		select {
		case <-time.After(step): // the entry itself is still on its way
		case <-l.cfg.Quit:
			return
		}
	}
	if l.life.raft.LastIndex() < c.Index || l.life.raft.CommitIndex() >= c.Index || l.life.raft.CurrentTerm() != c.Term || l.life.raft.State() != raft.Follower {
		return
	}
	l.life.transport.Inject(&raft.AppendEntriesRequest{
		RPCHeader:    raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(address)},
		Term:         c.Term,
		PrevLogEntry: c.Index, PrevLogTerm: c.EntryTerm,
		LeaderCommitIndex: c.Index,
	})
}
