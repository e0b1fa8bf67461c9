package form

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

// errWait means: not yet, look again.
var errWait = errors.New("waiting")

// Form gets this node an identity: it founds a cluster, is made a founder by
// another node, or enters a cluster that exists. It waits for peers until ctx ends.
func (s *Self) Form(ctx context.Context) error {
	peers := s.others()
	if s.cfg.Expect == 1 && len(peers) == 0 {
		return s.Establish([]Founder{{ID: s.cfg.NodeID, Address: s.port.Advertise()}})
	}
	if len(peers) == 0 {
		return errors.New("the data directory is empty and there is nobody to ask: set cluster.join to the addresses of other nodes, or cluster.bootstrap_expect: 1 to begin a cluster of one")
	}
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	pause, said := 50*time.Millisecond, ""
	for s.id.Load() == nil {
		err := s.formOnce(ctx, peers)
		if err == nil {
			continue
		}
		if !errors.Is(err, errWait) {
			return err
		}
		if now := err.Error(); now != said {
			s.cfg.Logger.Info("not in a cluster yet", "state", now)
			said, pause = now, 50*time.Millisecond
		}
		select {
		case <-s.adopted:
		case <-time.After(pause):
			pause = min(pause*2, time.Second)
		case <-ctx.Done():
			return fmt.Errorf("form or join a cluster: %s: %w", said, ctx.Err())
		}
	}
	return nil
}

// others are the entries of cluster.join but for this node's own address.
func (s *Self) others() []string {
	return slices.DeleteFunc(slices.Clone(s.cfg.Join), func(a string) bool { return a == s.port.Advertise() || a == s.cfg.Listen })
}

// formOnce looks at the peers and does what can be done now.
func (s *Self) formOnce(ctx context.Context, peers []string) error {
	seen, away, err := s.greet(ctx, peers)
	if err != nil {
		return err
	}
	founders := []Founder{{ID: s.cfg.NodeID, Address: s.port.Advertise()}}
	for _, h := range seen {
		if h.ClusterID != "" && !h.Founding {
			return s.enter(ctx, h.Address)
		}
		if h.Expect != s.cfg.Expect {
			return fmt.Errorf("node %s at %s has cluster.bootstrap_expect %d, this node %d: they must agree", h.NodeID, h.Address, h.Expect, s.cfg.Expect)
		}
		founders = append(founders, Founder{ID: h.NodeID, Address: h.Address, Instead: h.ClusterID})
	}
	want := s.cfg.Expect
	switch {
	case want == 0 || want == 1:
		return fmt.Errorf("%w: no node of cluster.join belongs to a cluster (%s)", errWait, strings.Join(away, "; "))
	case len(founders) < want:
		return fmt.Errorf("%w: %d of %d founders found (%s)", errWait, len(founders), want, strings.Join(away, "; "))
	case len(founders) > want:
		return fmt.Errorf("%d nodes want to found a cluster of %d: set cluster.bootstrap_expect to %d, or begin with fewer and let the others join", len(founders), want, len(founders))
	}
	slices.SortFunc(founders, func(a, b Founder) int { return strings.Compare(a.ID, b.ID) })
	if first := foremost(founders); first != s.cfg.NodeID {
		return fmt.Errorf("%w: node %s founds the cluster", errWait, first)
	}
	return s.Establish(founders)
}

// foremost returns which of the founders, sorted by ID, founds the cluster: the first that
// does not wait for another's word. Those who wait do so for a node that is gone, or it
// would be here: as all founders are, and none of them holds an entry, nothing was ever
// acknowledged by that cluster, and founding begins anew.
func foremost(founders []Founder) string {
	for _, f := range founders {
		if f.Instead == "" {
			return f.ID
		}
	}
	return ""
}

// greet asks all peers who they are, leaving out this node itself. Peers that do not
// answer are in away, with the reason.
func (s *Self) greet(ctx context.Context, entries []string) (seen []hello, away []string, err error) {
	peers, faults := s.cfg.Resolver.expand(ctx, entries)
	for _, f := range faults {
		away = append(away, f.Error())
	}
	type answer struct {
		hello
		from string
		err  error
	}
	answers := make(chan answer, len(peers))
	for _, p := range peers {
		go func() {
			h, err := s.greetOne(ctx, p)
			answers <- answer{h, p, err}
		}()
	}
	me := s.hello()
	for range peers {
		a := <-answers
		switch {
		case errors.Is(a.err, wire.ErrRootKey):
			return nil, nil, fmt.Errorf("node at %s: %w: all nodes of a cluster must be given the same root key", a.from, a.err)
		case a.err != nil:
			away = append(away, a.from+": "+a.err.Error())
		case a.Instance == me.Instance:
		case me.ClusterID != "" && slices.Contains(a.After, me.ClusterID):
			return nil, nil, s.replaced(a.hello)
		case a.Void:
			return nil, nil, s.Removed()
		case a.ClusterID != "" && slices.Contains(me.After, a.ClusterID):
			away = append(away, fmt.Sprintf("node %s at %s still belongs to cluster %s, which was recovered without it", a.NodeID, a.from, a.ClusterID))
		case me.ClusterID != "" && a.ClusterID != "" && a.ClusterID != me.ClusterID:
			return nil, nil, fmt.Errorf("the data directory %s belongs to cluster %s, but node %s at %s to cluster %s: correct cluster.join, or give this node an empty data directory",
				s.cfg.DataDir, me.ClusterID, a.NodeID, a.from, a.ClusterID)
		case a.NodeID == me.NodeID:
			return nil, nil, fmt.Errorf("the node at %s is also configured as %s: every node needs an ID of its own", a.from, me.NodeID)
		case slices.ContainsFunc(seen, func(h hello) bool { return h.Instance == a.Instance }):
		case slices.ContainsFunc(seen, func(h hello) bool { return h.NodeID == a.NodeID }):
			return nil, nil, fmt.Errorf("two other nodes are configured as %s: every node needs an ID of its own", a.NodeID)
		default:
			seen = append(seen, a.hello)
		}
	}
	seen = slices.DeleteFunc(seen, func(h hello) bool { // nobody enters a cluster that was recovered as another
		return slices.ContainsFunc(seen, func(o hello) bool { return h.ClusterID != "" && slices.Contains(o.After, h.ClusterID) })
	})
	slices.Sort(away)
	return seen, away, nil
}

func (s *Self) greetOne(ctx context.Context, address string) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var h hello
	c, err := s.port.DialJoin(ctx, address)
	if err != nil {
		return h, err
	}
	defer c.Close()
	me := s.hello()
	if err := c.Call(ctx, methodHello, &me, &h); err != nil {
		return h, err
	}
	if !wire.ValidNodeID(h.NodeID) {
		return h, fmt.Errorf("%q is no node ID", h.NodeID)
	}
	return h, nil
}

// RefuseForeignPeers looks, once at the start, whether those this node was told to
// join belong to another cluster than its data directory, or have its name.
func (s *Self) RefuseForeignPeers(ctx context.Context) error {
	if len(s.cfg.Join) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	_, _, err := s.greet(ctx, s.cfg.Join)
	return err
}
