package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

type renewRequest struct {
	Request []byte `cbor:"1,keyasint"`
}

type renewAnswer struct {
	Cert []byte `cbor:"1,keyasint"`
}

// authority returns the one that stands in the store, or that of this node's own identity
// if the store has none yet or an older one.
func (n *Node) authority(ctx context.Context) (*form.Authority, error) {
	row, err := form.StoredAuthority(ctx, n.cfg.DB)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if mine := n.self.Identity().Authority(); row == nil || row.Revision < mine.Revision {
		row = mine
	}
	return row, nil
}

// issue signs a node's certificate.
func (n *Node) issue(ctx context.Context, request []byte, node string) (*form.Authority, []byte, error) {
	row, err := n.authority(ctx)
	if err != nil {
		return nil, nil, err
	}
	cert, err := row.Admit(ctx, n.cfg.DB, request, node, n.cfg.Root, n.cfg.CertLife)
	return row, cert, err
}

func (n *Node) handleRenew(ctx context.Context, from wire.Peer, q *renewRequest) (any, error) {
	if err := n.leading(from); err != nil {
		return nil, err
	}
	_, cert, err := n.issue(ctx, q.Request, from.NodeID)
	if err != nil {
		return nil, err
	}
	return &renewAnswer{cert}, nil
}

// handleReissue signs for a member that has proved the root key, but has no certificate
// that others accept: it was away for longer than that lived.
func (n *Node) handleReissue(ctx context.Context, _ wire.Peer, q *form.EnterRequest) (any, error) {
	if answer, err := n.elsewhere(); answer != nil || err != nil {
		return answer, err
	}
	if !n.isMember(q.NodeID) {
		return nil, &wire.Fault{Code: codeRefused, Detail: "node " + q.NodeID + " is not a member"}
	}
	row, cert, err := n.issue(ctx, q.Request, q.NodeID)
	if err != nil {
		return nil, err
	}
	return &form.EnterAnswer{Authority: *row, Cert: cert}, nil
}

// elsewhere names the leader to a node that wants what only that can give, or returns
// nothing on the leader itself.
func (n *Node) elsewhere() (*form.EnterAnswer, error) {
	if !n.started.Load() {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: "node is starting"}
	}
	if n.readyTerm.Load() != 0 {
		return nil, nil
	}
	id, address := n.Leader()
	if id == "" || id == n.cfg.NodeID {
		return nil, &wire.Fault{Code: codeNotLeader, Detail: "no leader yet"}
	}
	return &form.EnterAnswer{Leader: address}, nil
}

// lookEvery is how often a node looks at its certificate and at the authority: wall
// clocks jump, and a rotation is nothing that must not take a second.
const lookEvery = 200 * time.Millisecond

// renew keeps this node in line with the authority as it stands in the store, and its
// certificate young: it is replaced when two thirds of its life have passed, and at once
// when another authority signs.
func (n *Node) renew() {
	var seen uint64
	var notBefore time.Time
	pause := lookEvery
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if at := n.cfg.DB.Position().Index; at != seen {
			n.port.Expel()
			if err := n.follow(); err != nil {
				n.log.Warn("authority not taken over yet", "error", err)
			} else {
				seen = at
			}
		}
		id := n.self.Identity()
		if now := time.Now(); now.After(notBefore) && (!id.Current() || now.After(wire.RenewAt(id.TLS.Cert.Leaf))) {
			if err := n.renewNow(n.ctx); err != nil && n.stopping() == nil {
				n.log.Warn("node certificate not renewed yet", "expires", n.creds.Expires(), "error", err)
				left := max(time.Until(n.creds.Expires()), 0)
				pause = min(2*pause, max(left/10, lookEvery), time.Minute)
				notBefore = time.Now().Add(pause)
			} else if err == nil {
				pause = lookEvery
				n.log.Info("node certificate renewed", "expires", n.creds.Expires())
			}
		}
		select {
		case <-tick.C:
		case <-n.quit:
			return
		}
	}
}

// follow goes by the authority as it stands in this node's store.
func (n *Node) follow() error {
	row, err := form.StoredAuthority(n.ctx, n.cfg.DB)
	if err != nil || row == nil {
		return err
	}
	news, err := n.self.Follow(row)
	if news {
		n.log.Info("authority taken over", "phase", string(row.Phase()), "authority", form.Fingerprint(row.Cert))
		n.port.Recheck()
	}
	return err
}

// renewNow asks the leader for a certificate, and if it cannot be asked with the one at
// hand, through the port for nodes that have none.
func (n *Node) renewNow(ctx context.Context) error {
	key, request, err := wire.NewKey()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var a renewAnswer
	id, address := n.Leader()
	switch id {
	case "":
		err = fmt.Errorf("renew certificate: %w: %w", fsm.ErrUnavailable, errNoLeader)
	case n.cfg.NodeID:
		_, a.Cert, err = n.issue(ctx, request, id)
	default:
		err = n.port.Caller().Call(ctx, id, address, methodRenew, &renewRequest{request}, &a)
	}
	if err != nil && !n.accepted() {
		a.Cert, err = n.reissue(ctx, request, err)
	}
	if err != nil {
		return err
	}
	if err := n.self.Renew(a.Cert, key); err != nil {
		return err
	}
	n.port.Caller().Reset()
	n.transport.CloseStreams()
	return nil
}

// accepted says whether this node's certificate is good as far as the node knows: valid,
// and confirmed by a leader within the last moments.
func (n *Node) accepted() bool {
	return n.self.Identity().Current() && n.staleness() < max(unconfirmed, 20*n.cfg.ProbeEvery)
}

// reissue asks the members by the root key. One that says that this node is no member ends it.
func (n *Node) reissue(ctx context.Context, request []byte, first error) ([]byte, error) {
	var at []string
	for _, s := range n.servers() {
		if string(s.ID) != n.cfg.NodeID {
			at = append(at, string(s.Address))
		}
	}
	a, err := n.self.Reissue(ctx, at, request)
	if fault := (*wire.Fault)(nil); errors.As(err, &fault) && fault.Code == codeRefused {
		n.die(n.self.Removed())
		return nil, err
	}
	if err != nil {
		return nil, errors.Join(first, err)
	}
	if _, err := n.self.Follow(&a.Authority); err != nil {
		return nil, err
	}
	return a.Cert, nil
}

// rotateAuthority is what a leader does for a rotation: it asks every member how far it
// is, and goes on when all are. Whatever leader comes next finds the same row.
func (n *Node) rotateAuthority(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		row, err := form.StoredAuthority(ctx, n.cfg.DB)
		if err != nil || row == nil || row.Phase() == form.Stable {
			continue
		}
		waits := ""
		stands := n.stands(ctx)
		for _, m := range stands {
			if w := row.Waiting(m); w != "" {
				waits += "node " + m.Node + ": " + w + "; "
			}
		}
		if waits == "" {
			err = n.advance(ctx, row, stands)
		}
		if now := fmt.Sprint(row.Phase(), waits, err); now != said && ctx.Err() == nil {
			said = now
			n.log.Info("rotation of the cluster authority", "phase", string(row.Phase()), "waits", waits, "error", err)
		}
	}
}

// advance goes one step on if the members are still those that were asked.
func (n *Node) advance(ctx context.Context, row *form.Authority, asked []form.MemberStand) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	for _, id := range n.memberIDs() {
		if !slices.ContainsFunc(asked, func(m form.MemberStand) bool { return m.Node == id }) {
			return nil // somebody came meanwhile
		}
	}
	return form.AdvanceRotation(ctx, n.cfg.DB, row, n.cfg.Told)
}

// stands asks every member for its part in a rotation, for at most a second.
func (n *Node) stands(ctx context.Context) []form.MemberStand {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	servers := n.servers()
	out := make([]form.MemberStand, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() { out[i] = n.standOf(ctx, s) })
	}
	all.Wait()
	return out
}

func (n *Node) standOf(ctx context.Context, s raft.Server) form.MemberStand {
	m := form.MemberStand{Node: string(s.ID)}
	if m.Node == n.cfg.NodeID {
		m.Stand = n.self.Stand()
		return m
	}
	var p positionAnswer
	m.Err = n.port.Caller().Call(ctx, m.Node, string(s.Address), methodPosition, &struct{}{}, &p)
	m.Stand = p.Stand
	return m
}
