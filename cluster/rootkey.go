package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
)

// Stands asks every member what it has to say about rotations, for at most a second.
func (n *Node) Stands(ctx context.Context) []form.MemberStand { return n.stands(ctx) }

// WhileNobodyEnters asks every member, as Stands, and gives the answers to do; while that
// runs this leader takes no new node in.
func (n *Node) WhileNobodyEnters(ctx context.Context, do func([]form.MemberStand) error) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	return do(n.stands(ctx))
}

// deriveAll returns the keys for one purpose, that of the root key in use first.
func (n *Node) deriveAll(purpose string) (out [][32]byte) {
	for _, k := range n.cfg.Root.Keys() {
		out = append(out, k.Derive(purpose))
	}
	return out
}

func (n *Node) joinKeys() (out []wire.JoinKey) {
	for i, k := range n.deriveAll("cluster join") {
		out = append(out, wire.JoinKey{RootID: n.cfg.Root.IDs()[i], Key: k})
	}
	return out
}

// sameRoots refuses, while the root key is being replaced, a new node that was not given
// all of them: it could not read what others are about to write. A token brings them.
func (n *Node) sameRoots(q *form.EnterRequest) error {
	ids := n.cfg.Root.IDs()
	if len(ids) == 1 || len(q.Secret) > 0 && len(q.Roots) == 0 {
		return nil
	}
	missing := slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(q.Roots, id) })
	if len(missing) == 0 {
		return nil
	}
	return &wire.Fault{Code: codeRefused, Detail: fmt.Sprintf("the root key is being replaced, and node %s lacks root key %s: give it the root key file of a member",
		q.NodeID, strings.Join(missing, ", "))}
}
