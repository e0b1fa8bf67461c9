package cluster

import (
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// revoking waits until every member has said that it knows of revocations.
func (h *house) revoking() {
	h.t.Helper()
	h.settled()
	eventually(h.t, "members that know of revocations", func() bool {
		n, all := h.rooms[h.leader()].node, false
		_ = n.cfg.DB.View(h.t.Context(), func(tx *fsm.Tx) (err error) {
			all, err = feature.All(tx, n.memberIDs(), feature.Revocation)
			return err
		})
		return all
	})
}

// thief is a port with the certificate of somebody else.
func thief(t *testing.T, id wire.Identity) *wire.Port {
	t.Helper()
	creds := &wire.Credentials{}
	creds.Set(id)
	p, err := wire.Listen(wire.Config{Listen: "127.0.0.1:0", Credentials: creds, RPC: &wire.Mux{}, Join: &wire.Mux{}, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	p.Serve()
	t.Cleanup(func() { p.Close() })
	return p
}

// seize tries to make name the only member, by a message of Raft to node i.
func (h *house) seize(t *testing.T, tr *wire.Transport, i int, name, address string) error {
	n := h.rooms[i].node
	term, last := n.raft.CurrentTerm(), n.raft.LastIndex()
	var l raft.Log
	if err := n.logs.GetLog(last, &l); err != nil {
		t.Fatal(err)
	}
	alone := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(name), Address: raft.ServerAddress(address)}}}
	q := &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(name), Addr: []byte(address)},
		Term:      term + 50, PrevLogEntry: last, PrevLogTerm: l.Term, LeaderCommitIndex: last + 1,
		Entries: []*raft.Log{{Index: last + 1, Term: term + 50, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(alone)}},
	}
	return tr.AppendEntries(raft.ServerID(h.rooms[i].cfg.NodeID), raft.ServerAddress(h.addrs[i]), q, &raft.AppendEntriesResponse{})
}

// A removed node has a certificate until that expires. By it, and by connections that it
// opened before, it could make itself the leader.
func TestRemovedNodeCannotSpeakRaft(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.revoking()
	lead, out := h.leader(), h.followers()[0]
	name := h.rooms[out].cfg.NodeID
	id := h.rooms[out].node.self.Identity().TLS
	quit := make(chan struct{})
	defer close(quit)
	p := thief(t, id)
	tr := p.NewTransport(func(string) string { return "" }, quit)
	open, err := p.Raft(func(string) string { return "" }).Dial(raft.ServerAddress(h.addrs[lead]), dialWithin)
	if err != nil {
		t.Fatal(err) // as long as it is a member, it may
	}
	defer open.Close()
	if err := h.rooms[lead].node.Remove(t.Context(), name, true); err != nil {
		t.Fatal(err)
	}
	h.stop(out)
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("the connection of before says something")
	} // and if it stayed open, this test would hang
	for i, r := range h.rooms {
		if r.node == nil {
			continue
		}
		eventually(t, "the revocation on every member", func() bool { return form.Voids(r.db)(name, 0) })
		if err := h.seize(t, tr, i, name, p.Advertise()); err == nil {
			t.Errorf("a removed node wrote into the log of %s: %v", r.cfg.NodeID, r.node.servers())
		}
		if err := p.Caller().Call(t.Context(), r.cfg.NodeID, h.addrs[i], methodPosition, &struct{}{}, nil); err == nil {
			t.Errorf("%s answers a removed node", r.cfg.NodeID)
		}
	}
	if err := put(h.rooms[h.leader()].db, "a", "x"); err != nil {
		t.Error(err)
	}

	// The name may come again, and what was signed before still counts nowhere.
	h.wipe(out)
	h.rooms[out].cfg.BootstrapExpect = 0
	h.start(out)
	eventually(t, "its vote", func() bool { return h.isVoter(out) })
	if n := wire.AdmissionOf(h.rooms[out].node.self.Identity().TLS.Cert.Leaf); n != 1 {
		t.Errorf("admission %d", n)
	}
	h.sameState()
	if err := h.seize(t, tr, h.leader(), name, p.Advertise()); err == nil {
		t.Error("the certificate of before counts again")
	}
	if err := h.rooms[out].node.renewNow(t.Context()); err != nil || wire.AdmissionOf(h.rooms[out].node.self.Identity().TLS.Cert.Leaf) != 1 {
		t.Errorf("renewed: %v", err)
	}
	if err := put(h.rooms[out].db, "b", "y"); err != nil {
		t.Error(err)
	}
}

const dialWithin = 5e9

// A node that was away when it was removed has nobody whose word it can hear over its
// certificate. It is told by the root key.
func TestNodeRemovedWhileAwayEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.revoking()
	out := h.followers()[0]
	h.crash(out)
	if err := h.rooms[h.leader()].node.Remove(t.Context(), h.rooms[out].cfg.NodeID, true); err != nil {
		t.Fatal(err)
	}
	h.rooms[out].cfg.Join = nil
	if err := h.tryStart(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed node to end", func() bool { return h.rooms[out].died() != nil })
	if err := h.rooms[out].died().Error(); !strings.Contains(err, "was removed") {
		t.Error(err)
	}
}

// A leader that dies between a removal and the revocation leaves a note to the next one.
func TestRevocationIsEndedByTheNextLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.revoking()
	lead, out := h.leader(), h.followers()[0]
	name := h.rooms[out].cfg.NodeID
	if err := form.BeginRevocation(t.Context(), h.rooms[lead].db, name); err != nil {
		t.Fatal(err)
	}
	if form.Voids(h.rooms[lead].db)(name, 0) {
		t.Error("void before it is removed")
	}
	if err := h.rooms[lead].node.raft.RemoveServer(raft.ServerID(name), 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the revocation", func() bool { return form.Voids(h.rooms[lead].db)(name, 0) })
}

// By the token that it came with, a removed node could come again.
func TestRemovalVoidsTheTokenOfANode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	token := h.token(0, form.TokenRequest{RootKey: true})
	i := h.grow()
	if _, err := h.joinBy(h.soon(), i, token, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.rooms[0].node.Remove(t.Context(), h.rooms[i].cfg.NodeID, true); err != nil {
		t.Fatal(err)
	}
	all, err := h.rooms[0].node.ListJoinTokens(t.Context())
	if err != nil || len(all) != 1 || all[0].RevokedAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}
