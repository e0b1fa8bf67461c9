package form

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

// enter asks the cluster of the node at address to take this node in.
func (s *Self) enter(ctx context.Context, address string) error {
	key, request, err := wire.NewKey()
	if err != nil {
		return err
	}
	q := EnterRequest{NodeID: s.cfg.NodeID, Address: s.port.Advertise(), Request: request, Reads: s.cfg.Reads, Roots: s.cfg.Root.IDs()}
	var a EnterAnswer
	for range 3 { // leaders may change while we ask
		a = EnterAnswer{}
		if err = s.ask(ctx, address, MethodEnter, &q, &a); err != nil || a.Leader == "" {
			break
		}
		address = a.Leader
	}
	if s.id.Load() != nil {
		return nil // made a founder meanwhile
	}
	var fault *wire.Fault
	if errors.As(err, &fault) && fault.Code == CodeRefused {
		return fmt.Errorf("join the cluster through %s: %w", address, err)
	}
	if err != nil || len(a.Cert) == 0 {
		return fmt.Errorf("%w: the cluster at %s has not taken this node in yet: %v", errWait, address, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id.Load() != nil {
		return nil
	}
	id, err := newIdentity(s.cfg.NodeID, &a.Authority, a.Cert, key)
	if err != nil {
		return err
	}
	if _, err := a.Authority.unwrap(s.cfg.Root); err != nil {
		return err
	}
	if err := s.become(id); err != nil {
		return err
	}
	s.cfg.Logger.Info("taken into the cluster", "cluster", id.ClusterID, "through", address)
	return nil
}

func (s *Self) ask(ctx context.Context, address, method string, q *EnterRequest, a *EnterAnswer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := s.port.DialJoin(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(ctx, method, q, a)
}

// Reissue asks the members at the addresses, by the root key, for a certificate in the
// place of one that is not accepted any more. A wire.Fault with [CodeRefused] is the
// leader's word that this node is no member.
func (s *Self) Reissue(ctx context.Context, addresses []string, request []byte) (*EnterAnswer, error) {
	mine := s.id.Load().ClusterID
	q := EnterRequest{NodeID: s.cfg.NodeID, Address: s.port.Advertise(), Request: request, Reads: s.cfg.Reads, Roots: s.cfg.Root.IDs(), ClusterID: mine}
	more, _ := s.cfg.Resolver.expand(ctx, s.cfg.Join) // names that give nothing now are asked for again later
	var last error
	for _, at := range append(slices.Clone(addresses), more...) {
		for range 3 {
			var a EnterAnswer
			if last = s.ask(ctx, at, methodReissue, &q, &a); last != nil {
				break
			}
			if len(a.Cert) > 0 && a.Authority.ClusterID == mine {
				return &a, nil
			}
			if len(a.Cert) > 0 {
				last = fmt.Errorf("%s is of cluster %s", at, a.Authority.ClusterID)
				break
			}
			at = a.Leader
		}
		var fault *wire.Fault
		if errors.As(last, &fault) && fault.Code == CodeRefused {
			return nil, last
		}
	}
	return nil, fmt.Errorf("no member signs another certificate: %w", errors.Join(last, errWait))
}

// handleReissue passes over members of other clusters that share the root key: of one that
// this cluster was recovered from, say.
func (s *Self) handleReissue(ctx context.Context, from wire.Peer, q *EnterRequest) (any, error) {
	if id := s.id.Load(); id != nil && q.ClusterID != "" && q.ClusterID != id.ClusterID {
		return nil, &wire.Fault{Code: CodeNotLeader, Detail: fmt.Sprintf("this is cluster %s, not %s", id.ClusterID, q.ClusterID)}
	}
	return s.cfg.Reissue(ctx, from, q)
}
