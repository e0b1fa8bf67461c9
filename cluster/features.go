package cluster

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

const methodFeatures = "features"

type featuresAnswer struct {
	Reads []string `cbor:"1,keyasint,omitempty"`
}

func (n *Node) newKeeper() *feature.Keeper {
	return feature.NewKeeper(feature.Config{
		NodeID: n.cfg.NodeID, Version: n.cfg.Version, Features: n.cfg.Features, DB: n.cfg.DB, Logger: n.log,
		Every: 2 * cmp.Or(n.cfg.PromoteAfter, time.Second), Members: n.memberIDs, Ask: n.askFeatures, Admission: &n.admitting, Fatal: n.die,
	})
}

func (n *Node) memberIDs() []string {
	var ids []string
	for _, s := range n.servers() {
		ids = append(ids, string(s.ID))
	}
	return ids
}

func (n *Node) handleFeatures(context.Context, wire.Peer, *struct{}) (any, error) {
	return &featuresAnswer{n.features.Reads()}, nil
}

// askFeatures asks a member what it reads. One of the release before this question
// answers that there is no such method.
func (n *Node) askFeatures(ctx context.Context, member string) ([]string, error) {
	address := ""
	for _, s := range n.servers() {
		if s.ID == raft.ServerID(member) {
			address = string(s.Address)
		}
	}
	var a featuresAnswer
	err := n.port.Caller().Call(ctx, member, address, methodFeatures, &struct{}{}, &a)
	var fault *wire.Fault
	if errors.As(err, &fault) {
		return nil, nil
	}
	return a.Reads, err
}

// newEnough refuses a new node that does not read what this cluster uses.
func (n *Node) newEnough(ctx context.Context, q *form.EnterRequest) error {
	err := n.features.Allows(ctx, "the release on node "+q.NodeID, q.Reads)
	if errors.Is(err, feature.ErrTooOld) {
		return &wire.Fault{Code: codeRefused, Detail: err.Error()}
	}
	return err
}

// Features says what the members announce, what is in use, and what waits for whom.
func (n *Node) Features(ctx context.Context) (r feature.Report, err error) {
	err = n.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		r, err = feature.Look(tx, n.memberIDs(), n.cfg.Features)
		return err
	})
	return r, err
}

// Announced is another number after every change of a member's release; see [feature.Newest].
func (n *Node) Announced(ctx context.Context) (uint64, error) { return n.features.Announced(ctx) }

// Use makes sure that a feature with OnDemand is active; see [feature.Keeper.Use].
func (n *Node) Use(ctx context.Context, name string) error { return n.features.Use(ctx, name) }

// Uses is [feature.Active] for paths too hot for that, and up to a moment late.
func (n *Node) Uses(name string) bool { return n.features.Active(name) }
