package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// A commitNote says, in an answer of the leader, that the entry at Index is
// committed. EntryTerm 0 says nothing.
type commitNote struct {
	Index     uint64 `cbor:"1,keyasint,omitempty"`
	EntryTerm uint64 `cbor:"2,keyasint,omitempty"`
	Term      uint64 `cbor:"3,keyasint,omitempty"` // the leader's
}

// note describes the committed entry at index, as far as this leader can. It speaks
// only for a term that this node leads: under another it would pass for its leader.
func (n *Node) note(index uint64) commitNote {
	term := n.readyTerm.Load()
	var l raft.Log
	if term == 0 || n.cache.GetLog(index, &l) != nil {
		return commitNote{}
	}
	return commitNote{Index: index, EntryTerm: l.Term, Term: term}
}

// nudge lets Raft know at once what the leader at id has said about its commits. In
// an idle cluster Raft itself would tell only after CommitTimeout, and whoever
// waits for his own write would wait for that.
//
// It is an ordinary message of that leader, without entries, that came another way:
// Raft checks the leader's term, and that the entry here is the very one that was
// committed there, and ignores it otherwise.
func (n *Node) nudge(c commitNote, id, address string) {
	if c.EntryTerm == 0 || n.cfg.DB.Position().Index >= c.Index || !n.nudging.CompareAndSwap(false, true) {
		return
	}
	defer n.nudging.Store(false)
	const step = 200 * time.Microsecond
	for range n.cfg.CommitTimeout / step {
		if n.raft.LastIndex() >= c.Index {
			break
		}
		select {
		case <-time.After(step): // the entry itself is still on its way
		case <-n.quit:
			return
		}
	}
	if n.raft.LastIndex() < c.Index || n.raft.CommitIndex() >= c.Index || n.raft.CurrentTerm() != c.Term || n.raft.State() != raft.Follower {
		return
	}
	n.transport.Inject(&raft.AppendEntriesRequest{
		RPCHeader:    raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(address)},
		Term:         c.Term,
		PrevLogEntry: c.Index, PrevLogTerm: c.EntryTerm,
		LeaderCommitIndex: c.Index,
	})
}
