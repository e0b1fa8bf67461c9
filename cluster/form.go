package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

// forming is the state of a node that does not belong to a cluster yet.
type forming struct {
	mu       sync.Mutex
	open     bool   // may be taken into a cluster
	instance string // tells this process from another that claims the same node ID
}

const (
	methodHello = "hello" // who are you?
	methodFound = "found" // be a founder of this cluster
	methodEnter = "enter" // take me into your cluster
)

// A hello is what nodes tell each other on quis-join/1.
type hello struct {
	NodeID    string `cbor:"1,keyasint"`
	Address   string `cbor:"2,keyasint"`
	ClusterID string `cbor:"3,keyasint,omitempty"`
	Expect    int    `cbor:"4,keyasint,omitempty"`
	Instance  string `cbor:"5,keyasint"`
	Version   string `cbor:"6,keyasint,omitempty"`
}

type foundRequest struct {
	Authority authorityRow `cbor:"1,keyasint"`
	Founder   string       `cbor:"2,keyasint"`
}

type enterRequest struct {
	NodeID  string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	Request []byte `cbor:"3,keyasint"` // PKCS #10
}

type enterAnswer struct {
	Leader    string       `cbor:"1,keyasint,omitempty"` // ask there instead
	Authority authorityRow `cbor:"2,keyasint,omitempty"`
	Cert      []byte       `cbor:"3,keyasint,omitempty"`
}

func (n *Node) hello() hello {
	h := hello{NodeID: n.cfg.NodeID, Address: n.port.Advertise(), Expect: n.cfg.BootstrapExpect, Version: n.cfg.Version}
	n.forming.mu.Lock()
	h.Instance = n.forming.instance
	n.forming.mu.Unlock()
	if id := n.id.Load(); id != nil {
		h.ClusterID = id.clusterID
	}
	return h
}

// joinCalls are the methods of quis-join/1. Callers have proved the root key.
func (n *Node) joinCalls() *wire.Mux {
	n.forming.instance = rand.Text()
	m := &wire.Mux{}
	wire.Handle(m, methodHello, func(context.Context, wire.Peer, *hello) (any, error) { return n.hello(), nil })
	wire.Handle(m, methodFound, n.handleFound)
	wire.Handle(m, methodEnter, n.handleEnter)
	return m
}

// errWait means: not yet, look again.
var errWait = errors.New("waiting")

// form gets this node an identity: it founds a cluster, is made a founder by
// another node, or enters a cluster that exists. It waits for peers until ctx ends.
func (n *Node) form(ctx context.Context) error {
	peers := slices.DeleteFunc(slices.Clone(n.cfg.Join), func(a string) bool { return a == n.port.Advertise() || a == n.cfg.Listen })
	if n.cfg.BootstrapExpect == 1 && len(peers) == 0 {
		return n.establish([]founder{{n.cfg.NodeID, n.port.Advertise()}})
	}
	if len(peers) == 0 {
		return errors.New("the data directory is empty and there is nobody to ask: set cluster.join to the addresses of other nodes, or cluster.bootstrap_expect: 1 to begin a cluster of one")
	}
	n.forming.mu.Lock()
	n.forming.open = true
	n.forming.mu.Unlock()
	pause, said := 50*time.Millisecond, ""
	for n.id.Load() == nil {
		changed := n.changed.wait()
		err := n.formOnce(ctx, peers)
		if err == nil {
			continue
		}
		if !errors.Is(err, errWait) {
			return err
		}
		if now := err.Error(); now != said {
			n.log.Info("not in a cluster yet", "state", now)
			said, pause = now, 50*time.Millisecond
		}
		select {
		case <-changed:
		case <-time.After(pause):
			pause = min(pause*2, time.Second)
		case <-ctx.Done():
			return fmt.Errorf("form or join a cluster: %s: %w", said, ctx.Err())
		}
	}
	return nil
}

// formOnce looks at the peers and does what can be done now.
func (n *Node) formOnce(ctx context.Context, peers []string) error {
	seen, away, err := n.greet(ctx, peers)
	if err != nil {
		return err
	}
	founders := []founder{{n.cfg.NodeID, n.port.Advertise()}}
	for _, h := range seen {
		if h.ClusterID != "" {
			return n.enter(ctx, h.Address)
		}
		if h.Expect != n.cfg.BootstrapExpect {
			return fmt.Errorf("node %s at %s has cluster.bootstrap_expect %d, this node %d: they must agree", h.NodeID, h.Address, h.Expect, n.cfg.BootstrapExpect)
		}
		founders = append(founders, founder{h.NodeID, h.Address})
	}
	want := n.cfg.BootstrapExpect
	switch {
	case want == 0 || want == 1:
		return fmt.Errorf("%w: no node of cluster.join belongs to a cluster (%s)", errWait, strings.Join(away, "; "))
	case len(founders) < want:
		return fmt.Errorf("%w: %d of %d founders found (%s)", errWait, len(founders), want, strings.Join(away, "; "))
	case len(founders) > want:
		return fmt.Errorf("%d nodes want to found a cluster of %d: set cluster.bootstrap_expect to %d, or begin with fewer and let the others join", len(founders), want, len(founders))
	}
	slices.SortFunc(founders, func(a, b founder) int { return strings.Compare(a.ID, b.ID) })
	if founders[0].ID != n.cfg.NodeID {
		return fmt.Errorf("%w: node %s founds the cluster", errWait, founders[0].ID)
	}
	return n.establish(founders)
}

// greet asks all peers who they are, leaving out this node itself. Peers that do not
// answer are in away, with the reason.
func (n *Node) greet(ctx context.Context, peers []string) (seen []hello, away []string, err error) {
	type answer struct {
		hello
		from string
		err  error
	}
	answers := make(chan answer, len(peers))
	for _, p := range peers {
		go func() {
			h, err := n.greetOne(ctx, p)
			answers <- answer{h, p, err}
		}()
	}
	me := n.hello()
	for range peers {
		a := <-answers
		switch {
		case errors.Is(a.err, wire.ErrRootKey):
			return nil, nil, fmt.Errorf("node at %s: %w: all nodes of a cluster must be given the same root key", a.from, a.err)
		case a.err != nil:
			away = append(away, a.from+": "+a.err.Error())
		case a.Instance == me.Instance:
		case me.ClusterID != "" && a.ClusterID != "" && a.ClusterID != me.ClusterID:
			return nil, nil, fmt.Errorf("the data directory %s belongs to cluster %s, but node %s at %s to cluster %s: correct cluster.join, or give this node an empty data directory",
				n.cfg.DataDir, me.ClusterID, a.NodeID, a.from, a.ClusterID)
		case a.NodeID == me.NodeID:
			return nil, nil, fmt.Errorf("the node at %s is also configured as %s: every node needs an ID of its own", a.from, me.NodeID)
		case slices.ContainsFunc(seen, func(h hello) bool { return h.Instance == a.Instance }):
		case slices.ContainsFunc(seen, func(h hello) bool { return h.NodeID == a.NodeID }):
			return nil, nil, fmt.Errorf("two other nodes are configured as %s: every node needs an ID of its own", a.NodeID)
		default:
			seen = append(seen, a.hello)
		}
	}
	slices.Sort(away)
	return seen, away, nil
}

func (n *Node) greetOne(ctx context.Context, address string) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var h hello
	c, err := n.port.DialJoin(ctx, address)
	if err != nil {
		return h, err
	}
	defer c.Close()
	me := n.hello()
	if err := c.Call(ctx, methodHello, &me, &h); err != nil {
		return h, err
	}
	if !wire.ValidNodeID(h.NodeID) {
		return h, fmt.Errorf("%q is no node ID", h.NodeID)
	}
	return h, nil
}

// refuseForeignPeers looks, once at the start, whether those this node was told to
// join belong to another cluster than its data directory, or have its name.
func (n *Node) refuseForeignPeers(ctx context.Context) error {
	if len(n.cfg.Join) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	_, _, err := n.greet(ctx, n.cfg.Join)
	return err
}
