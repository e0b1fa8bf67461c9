package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cluster/wire"
)

const methodCheckup = "checkup"

type checkupRequest struct {
	Brief bool `cbor:"1,keyasint,omitempty"` // only to see whether somebody answers
}

// Checkup asks every member what it finds on its own machine and of the others, and returns
// what follows, for at most some fifteen seconds.
func (n *Node) Checkup(ctx context.Context) []checkup.Finding {
	s := n.Status(ctx)
	members := make([]checkup.Member, len(s.Members))
	for i, m := range s.Members {
		members[i] = checkup.Member{ID: m.ID, Address: m.Address, Version: m.Version, Offset: m.ClockOffset, Uncertain: m.ClockError}
	}
	checkup.Gather(ctx, members, func(ctx context.Context, m *checkup.Member) (*checkup.Report, error) {
		if m.ID == n.cfg.NodeID {
			return n.report(ctx), nil
		}
		var r checkup.Report
		old, err := n.askCheckup(ctx, m.ID, m.Address, checkupRequest{}, &r)
		if old || err != nil {
			return nil, err
		}
		return &r, nil
	})
	return checkup.Judge(n.cfg.NodeID, members)
}

// askCheckup reports old for a member of a release that does not know the question.
func (n *Node) askCheckup(ctx context.Context, id, address string, q checkupRequest, r *checkup.Report) (old bool, err error) {
	err = n.port.Caller().Call(ctx, id, address, methodCheckup, &q, r)
	var fault *wire.Fault
	if errors.As(err, &fault) && fault.Code != codeRefused {
		return true, nil
	}
	return false, err
}

func (n *Node) handleCheckup(ctx context.Context, from wire.Peer, q *checkupRequest) (any, error) {
	if !n.isMember(from.NodeID) {
		return nil, &wire.Fault{Code: codeRefused, Detail: "node " + from.NodeID + " is not a member"}
	}
	if q.Brief {
		return &checkup.Report{}, nil
	}
	return n.report(ctx), nil
}

// report is what this node finds.
func (n *Node) report(ctx context.Context) *checkup.Report {
	r := &checkup.Report{Findings: n.lookAtCertificates()}
	var all sync.WaitGroup
	if n.cfg.Checkup != nil {
		var found []checkup.Finding
		all.Go(func() { found = n.cfg.Checkup(ctx) })
		defer func() { r.Findings = append(r.Findings, found...) }()
	}
	r.Peers = n.peers(ctx)
	all.Wait()
	return r
}

// peerWithin bounds the way to one peer and back.
const peerWithin = 3 * time.Second

func (n *Node) peers(ctx context.Context) []checkup.Peer {
	ctx, cancel := context.WithTimeout(ctx, peerWithin)
	defer cancel()
	var peers []checkup.Peer
	for _, s := range n.servers() {
		if string(s.ID) != n.cfg.NodeID {
			peers = append(peers, checkup.Peer{Node: string(s.ID), Address: string(s.Address)})
		}
	}
	var all sync.WaitGroup
	for i := range peers {
		p := &peers[i]
		all.Go(func() {
			if _, err := n.askCheckup(ctx, p.Node, p.Address, checkupRequest{Brief: true}, &checkup.Report{}); err != nil {
				p.Fault = checkup.Reason(err)
			}
			if n.gossiping.Load() {
				p.Gossip = checkup.Lost
				if n.gossip.Alive(p.Node) {
					p.Gossip = checkup.Alive
				}
			}
		})
	}
	all.Wait()
	return peers
}

// lookAtCertificates looks at what this node proves itself with to the others.
func (n *Node) lookAtCertificates() []checkup.Finding {
	now := time.Now()
	out := []checkup.Finding{checkup.Expiry("node certificate", "it", n.creds.Expires(), now, n.cfg.CertLife/5,
		"It renews itself while the leader answers: look at this node's log for why it could not.")}
	if id := n.self.Identity(); id != nil {
		out = append(out, checkup.Expiry("cluster authority", "it", id.AuthorityEnds(), now, 90*24*time.Hour,
			"Replace it while all nodes run: `quis cluster ca rotate`."))
	}
	return out
}
