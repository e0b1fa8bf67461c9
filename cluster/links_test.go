package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/fsm"
)

var errCut = errors.New("link cut")

// links are the ways between the nodes of a house, by what connections are made: who calls
// whom. Names stand for addresses, as they do in DNS.
type links struct {
	mu    sync.Mutex
	names map[string]string
	owner map[string]string // of an address
	cut   map[[2]string]bool
	open  map[[2]string][]net.Conn
}

func newLinks() *links {
	return &links{names: map[string]string{}, owner: map[string]string{}, cut: map[[2]string]bool{}, open: map[[2]string][]net.Conn{}}
}

// wired puts a house's nodes on l.
func (l *links) wired(h *house) *house {
	for i, r := range h.rooms {
		l.owner[h.addrs[i]] = r.cfg.NodeID
		r.cfg.Dial = l.dialer(r.cfg.NodeID)
	}
	return h
}

func (l *links) dialer(from string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		l.mu.Lock()
		if at, ok := l.names[address]; ok {
			address = at
		}
		way := [2]string{from, l.owner[address]}
		cut := l.cut[way]
		l.mu.Unlock()
		if cut {
			return nil, errCut
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.cut[way] {
			c.Close()
			return nil, errCut
		}
		l.open[way] = append(l.open[way], c)
		return c, nil
	}
}

// set cuts the way from one node to another, or mends it.
func (l *links) set(from, to string, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	way := [2]string{from, to}
	l.cut[way] = cut
	if cut {
		for _, c := range l.open[way] {
			c.Close()
		}
		l.open[way] = nil
	}
}

// apart cuts a node off from all others both ways, or mends that.
func (l *links) apart(h *house, i int, cut bool) {
	for k, r := range h.rooms {
		if k != i {
			l.set(h.rooms[i].cfg.NodeID, r.cfg.NodeID, cut)
			l.set(r.cfg.NodeID, h.rooms[i].cfg.NodeID, cut)
		}
	}
}

// elapse waits for a time during which something must not happen.
func elapse(t *testing.T, d time.Duration) {
	t.Helper()
	over := time.Now().Add(d)
	eventually(t, "time to pass", func() bool { return time.Now().After(over) })
}

// calm has a leader put up with a machine that is busy: its term ends only by what a test does.
func calm(c *Config) { c.Heartbeat = 800 * time.Millisecond }

// A node that was cut off, once for long and then again and again, comes back without
// toppling the leader: it never raised its term, because nobody promised it a vote.
func TestNodeThatComesBackDoesNotToppleTheLeader(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := l.wired(newHouse(t, 3, calm))
	h.start()
	h.settled()
	leads, away := h.leader(), h.followers()[0]
	term := h.rooms[leads].node.raft.CurrentTerm()
	for round := range 3 {
		l.apart(h, away, true)
		eventually(t, "the lonely node to stand for election", func() bool { return h.rooms[away].node.raft.State() == raft.Candidate })
		if round == 0 {
			elapse(t, 3*h.rooms[away].cfg.Heartbeat)
		}
		id := fmt.Sprint(round)
		if err := put(h.rooms[leads].db, id, "x"); err != nil {
			t.Fatal(err)
		}
		l.apart(h, away, false)
		eventually(t, "the node to be back", func() bool { return text(h.rooms[away].db, id) == "x" })
		for _, r := range h.rooms {
			if got := r.node.raft.CurrentTerm(); got != term {
				t.Fatalf("round %d: %s is in term %d, it was %d", round, r.cfg.NodeID, got, term)
			}
		}
		if !h.rooms[leads].node.IsLeader() {
			t.Fatalf("round %d: the leader was toppled", round)
		}
	}
}

// A node that was removed, but can reach neither the leader nor its word, keeps asking the
// others for votes. Nobody heeds it; and once anybody tells it, it ends.
func TestRemovedNodeThatKeepsAskingIsNotHeeded(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := l.wired(newHouse(t, 3, calm))
	h.start()
	h.settled()
	leads, gone := h.leader(), h.followers()[0]
	leader, removed := h.rooms[leads], h.rooms[gone]
	term := leader.node.raft.CurrentTerm()
	l.set(leader.cfg.NodeID, removed.cfg.NodeID, true)
	l.set(removed.cfg.NodeID, leader.cfg.NodeID, true)
	if err := leader.node.Remove(t.Context(), removed.cfg.NodeID, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed node to ask for votes", func() bool { return removed.node.raft.State() == raft.Candidate })
	elapse(t, 3*leader.cfg.Heartbeat)
	if err := put(leader.db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	if got := leader.node.raft.CurrentTerm(); got != term || !leader.node.IsLeader() {
		t.Errorf("term %d, it was %d; leads: %v", got, term, leader.node.IsLeader())
	}
	l.apart(h, gone, false)
	eventually(t, "the removed node to end", func() bool { return removed.died() != nil })
}

// A removal that a leader could not commit is none: nobody is told that he is a stranger.
func TestRemovalThatIsNotCommittedIsNone(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := l.wired(newHouse(t, 3, nil))
	h.start()
	h.settled()
	leads, other := h.leader(), h.followers()[0]
	n, id := h.rooms[leads].node, h.rooms[other].cfg.NodeID
	l.apart(h, leads, true)
	f := n.raft.RemoveServer(raft.ServerID(id), 0, 0)
	eventually(t, "the removal to be tried", func() bool { _, ok := n.roster.Find(id); return !ok })
	if !n.isMember(id) {
		t.Error("a node is a stranger though its removal is not committed")
	}
	eventually(t, "another leader", func() bool {
		at, _ := h.rooms[other].node.Leader()
		return at != "" && at != n.cfg.NodeID
	})
	l.apart(h, leads, false)
	if f.Error() == nil {
		t.Error("removed without a majority")
	}
	eventually(t, "the removal to be undone", func() bool { _, ok := n.roster.Find(id); return ok })
	if err := put(h.rooms[leads].db, "a", "x"); err != nil {
		t.Error(err)
	}
	for _, r := range h.rooms {
		if err := r.died(); err != nil {
			t.Errorf("%s: %v", r.cfg.NodeID, err)
		}
	}
}

// Names stay names in the configuration and are looked up at each connection, so a cluster
// survives that every one of its nodes gets another address, one after another.
func TestNamesAreFollowed(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := newHouse(t, 3, func(c *Config) { c.Advertise = c.NodeID + ".quis.test:8300" })
	l.wired(h)
	for i, r := range h.rooms {
		l.names[r.cfg.Advertise] = h.addrs[i]
	}
	h.start()
	h.settled()
	for i, r := range h.rooms {
		h.stop(i)
		r.cfg.Listen = freeAddresses(t, 1)[0]
		l.mu.Lock()
		l.names[r.cfg.Advertise] = r.cfg.Listen
		l.owner[r.cfg.Listen] = r.cfg.NodeID
		l.mu.Unlock()
		h.start(i)
		if err := put(r.db, "a", r.cfg.NodeID); err != nil {
			t.Fatal(err)
		}
	}
	h.sameState()
	for _, s := range h.rooms[0].node.servers() {
		if want := string(s.ID) + ".quis.test:8300"; string(s.Address) != want {
			t.Errorf("%s is known at %s, want %s", s.ID, s.Address, want)
		}
	}
}

// A majority that comes back under other addresses, one after another, is followed.
func TestMajorityMovesOneAfterAnother(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	for _, i := range h.followers() {
		r := h.rooms[i]
		h.stop(i)
		h.addrs[i] = freeAddresses(t, 1)[0]
		r.cfg.Listen = h.addrs[i]
		h.start(i)
		eventually(t, "the cluster to know the new address", func() bool {
			s, _ := h.rooms[h.leader()].node.roster.Find(r.cfg.NodeID)
			return string(s.Address) == h.addrs[i]
		})
		if err := put(r.db, "a", r.cfg.NodeID); err != nil {
			t.Fatal(err)
		}
	}
	h.sameState()
}

// Orders are taken by any node, refused with a sentence where they would do harm, and carried out.
func TestChangesFromAnyNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	ctx := t.Context()
	old := h.leader()
	f := h.followers()
	from, to := h.rooms[f[0]].node, h.rooms[f[1]].cfg.NodeID
	if err := from.Transfer(ctx, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the leader that was named", func() bool { return h.rooms[f[1]].node.IsLeader() })
	if err := h.rooms[f[1]].node.Transfer(ctx, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another leader", func() bool {
		at, _ := from.Leader()
		return at != "" && at != to && h.leader() != f[1]
	})
	var refusal autopilot.Refusal
	for what, err := range map[string]error{
		"remove": from.Remove(ctx, to, false), "demote": from.Demote(ctx, to, false),
	} {
		if !errors.As(err, &refusal) || !errors.Is(err, fsm.ErrRefused) {
			t.Errorf("%s below the minimum: %v", what, err)
		}
	}
	if err := from.Remove(ctx, "n9", true); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("remove a stranger: %v", err)
	}
	low := autopilot.Default()
	low.MinQuorum = 1
	if err := h.rooms[old].db.Update(ctx, func(tx *fsm.Tx) error { return autopilot.Store(tx, low) }); err != nil {
		t.Fatal(err)
	}
	at := h.leader()
	lead := h.rooms[at].cfg.NodeID
	if err := from.Demote(ctx, lead, false); err != nil { // which hands over first
		t.Fatal(err)
	}
	if h.isVoter(at) || h.leader() == at {
		t.Error("the former leader still votes")
	}
	elapse(t, 20*h.rooms[0].cfg.PromoteAfter) // the autopilot must not give the vote back
	if h.isVoter(at) {
		t.Error("the autopilot gave back a vote that an operator took")
	}
	if m := memberOf(t, from.Status(ctx), lead); m.Role != "non-voter" || !m.Healthy {
		t.Errorf("status says %+v", m)
	}
	if err := from.Promote(ctx, lead); err != nil || !h.isVoter(at) {
		t.Errorf("promote: %v, votes: %v", err, h.isVoter(at))
	}
	// The leader itself can be removed, on its own order; it ends and says why.
	at = h.leader()
	if err := h.rooms[at].node.Remove(ctx, h.rooms[at].cfg.NodeID, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed leader to end", func() bool { return h.rooms[at].died() != nil })
}

func memberOf(t *testing.T, s Status, id string) Member {
	t.Helper()
	for _, m := range s.Members {
		if m.ID == id {
			return m
		}
	}
	t.Fatalf("no member %s in %+v", id, s)
	return Member{}
}

// Status needs no quorum and does not wait for the dead.
func TestStatusInWords(t *testing.T) {
	t.Parallel()
	l := newLinks()
	h := l.wired(newHouse(t, 3, nil))
	h.start()
	n := h.rooms[h.leader()].node
	says := func(n *Node, want string) {
		t.Helper()
		eventually(t, want, func() bool { return n.Status(t.Context()).Summary == want })
	}
	says(n, "3 of 3 voters healthy: 1 failure tolerated")
	f := h.followers()
	l.apart(h, f[0], true)
	says(n, "2 of 3 voters healthy: no further failure tolerated")
	says(h.rooms[f[0]].node, "1 of 3 voters healthy: 2 are needed, nothing can be written")
	m := memberOf(t, n.Status(t.Context()), h.rooms[f[0]].cfg.NodeID)
	if m.Healthy || m.Alive || m.Reason == "" || m.LastSeen.IsZero() {
		t.Errorf("status says %+v of a node that is cut off", m)
	}
	l.apart(h, f[1], true)
	begun := time.Now()
	s := n.Status(t.Context())
	if took := time.Since(begun); took > time.Second {
		t.Errorf("status took %v", took)
	}
	if s.Voters != 3 || len(s.Members) != 3 {
		t.Errorf("without a quorum: %+v", s)
	}
	says(n, "1 of 3 voters healthy: 2 are needed, nothing can be written")
	l.apart(h, f[0], false)
	l.apart(h, f[1], false)
	says(n, "3 of 3 voters healthy: 1 failure tolerated")
}

// The dead are taken out where the operator wants it and a replacement votes, and otherwise not.
func TestAutopilotTakesOutTheDead(t *testing.T) {
	t.Parallel()
	const deadAfter = 4 * time.Second
	h := newHouse(t, 4, func(c *Config) { calm(c); c.DeadAfter = deadAfter })
	h.start()
	clean := autopilot.Default()
	clean.CleanupDead = true
	leader := h.rooms[h.leader()]
	f := h.followers()
	for _, i := range f[:2] {
		h.crash(i)
		eventually(t, "the dead to be noticed", func() bool {
			return !memberOf(t, leader.node.Status(t.Context()), h.rooms[i].cfg.NodeID).Alive
		})
		if i == f[0] {
			// Not before: on a busy machine one that lives could be taken for dead, and there are four.
			if err := leader.db.Update(t.Context(), func(tx *fsm.Tx) error { return autopilot.Store(tx, clean) }); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the dead to be taken out", func() bool { return !leader.node.isMember(h.rooms[i].cfg.NodeID) })
		}
	}
	elapse(t, deadAfter+time.Second)
	if !leader.node.isMember(h.rooms[f[1]].cfg.NodeID) {
		t.Error("taken out although no replacement votes")
	}
	eventually(t, "the two that are left to write", func() bool { return put(leader.db, "a", "x") == nil })
}
