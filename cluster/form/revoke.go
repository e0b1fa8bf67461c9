package form

import (
	"context"
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// A revocation says which certificates of a node name count no more: those of an admission
// with a lower number. The number only grows, so that no clock enters; every certificate
// holds the one of the time when it was signed, 0 for a name that was never removed.
type revocation struct {
	Node    string `cbor:"1,keyasint,omitempty"`
	Number  uint64 `cbor:"2,keyasint,omitempty"` // of admissions that count and of certificates signed now
	Pending bool   `cbor:"3,keyasint,omitempty"` // a removal has begun; when it is done, the number grows
}

var revocations = fsm.NewTable(158, "node_revocations", fsm.Spec[revocation]{
	Key: func(r *revocation) fsm.Key { return fsm.K(r.Node) },
	Own: true,
})

func revocationOf(tx *fsm.Tx, node string) (*revocation, error) {
	r, err := revocations.Get(tx, fsm.Global, fsm.K(node))
	if errors.Is(err, fsm.ErrNotFound) {
		return &revocation{Node: node}, nil
	}
	return r, err
}

// BeginRevocation notes that node is about to be removed, so that whoever leads next
// revokes its certificates if this leader does not come to it.
func BeginRevocation(ctx context.Context, db *fsm.DB, node string) error {
	return db.Update(ctx, func(tx *fsm.Tx) error {
		r, err := revocationOf(tx, node)
		if err != nil {
			return err
		}
		r.Pending = true
		return revocations.Put(tx, r)
	})
}

// EndRevocation makes every certificate of node that was signed until now worthless. Node
// must have been removed after [BeginRevocation], without which nothing is done.
func EndRevocation(ctx context.Context, db *fsm.DB, node string) error {
	return db.Update(ctx, func(tx *fsm.Tx) error {
		r, err := revocationOf(tx, node)
		if err != nil || !r.Pending {
			return err
		}
		r.Number++
		r.Pending = false
		return revocations.Put(tx, r)
	})
}

// PendingRevocations returns the nodes whose removal has begun.
func PendingRevocations(ctx context.Context, db *fsm.DB) (nodes []string, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) error {
		for r, err := range revocations.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			if r.Pending {
				nodes = append(nodes, r.Node)
			}
		}
		return nil
	})
	return nodes, err
}

// VoidTokens makes the join tokens worthless by which node came, for it might come again by one.
func VoidTokens(ctx context.Context, db *fsm.DB, node string) error {
	return db.Update(ctx, func(tx *fsm.Tx) error {
		var used []*ticket
		for t, err := range tickets.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			if t.UsedBy == node && t.Revoked.IsZero() {
				used = append(used, t)
			}
		}
		for _, t := range used {
			t.Revoked = tx.Now()
			if err := tickets.Put(tx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// Voids returns what says, of this node's store, whether a certificate of a node's
// admission counts no more. A store that cannot be read lets nobody in.
func Voids(db *fsm.DB) func(node string, admission uint64) bool {
	return func(node string, admission uint64) bool {
		var r *revocation
		err := db.View(context.Background(), func(tx *fsm.Tx) (err error) {
			r, err = revocationOf(tx, node)
			return err
		})
		return err != nil || admission < r.Number
	}
}

func admissionNumber(ctx context.Context, db *fsm.DB, node string) (number uint64, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) error {
		r, err := revocationOf(tx, node)
		if err == nil {
			number = r.Number
		}
		return err
	})
	return number, err
}

// forgetFormer drops what admitted nodes to the cluster that this one was recovered from,
// and what was void there: no certificate of that one counts here.
func forgetFormer(tx *fsm.Tx) error {
	var tokens, nodes []string
	for t, err := range tickets.List(tx, fsm.Global) {
		if err != nil {
			return err
		}
		tokens = append(tokens, t.ID)
	}
	for r, err := range revocations.List(tx, fsm.Global) {
		if err != nil {
			return err
		}
		nodes = append(nodes, r.Node)
	}
	for _, id := range tokens {
		if err := tickets.Delete(tx, fsm.Global, fsm.K(id)); err != nil {
			return err
		}
	}
	for _, id := range nodes {
		if err := revocations.Delete(tx, fsm.Global, fsm.K(id)); err != nil {
			return err
		}
	}
	return nil
}
