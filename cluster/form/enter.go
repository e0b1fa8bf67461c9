package form

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
)

// enter asks the cluster of the node at address to take this node in.
func (s *Self) enter(ctx context.Context, address string) error {
	key, request, err := wire.NewKey()
	if err != nil {
		return err
	}
	q := EnterRequest{NodeID: s.cfg.NodeID, Address: s.port.Advertise(), Request: request, Reads: s.cfg.Reads}
	var a EnterAnswer
	for range 3 { // leaders may change while we ask
		if a, err = s.askToEnter(ctx, address, &q); err != nil || a.Leader == "" {
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

func (s *Self) askToEnter(ctx context.Context, address string, q *EnterRequest) (EnterAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var a EnterAnswer
	c, err := s.port.DialJoin(ctx, address)
	if err != nil {
		return a, err
	}
	defer c.Close()
	return a, c.Call(ctx, methodEnter, q, &a)
}
