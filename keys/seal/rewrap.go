package seal

import (
	"context"
	"slices"

	"github.com/quis-idp/quis/fsm"
)

// Roots says under which root keys the sealing keys are wrapped.
type Roots struct {
	All    []string // fingerprints of those that open every sealing key
	Any    []string // of those that open one at least
	Former []string // of those that came before the latest change of the root key
}

// RootsOf reads them from the store, in the order in which they came.
func RootsOf(tx *fsm.Tx) (r Roots, err error) {
	first := true
	for k, err := range sealingKeys.List(tx, fsm.Global) {
		if err != nil {
			return r, err
		}
		ids := k.roots()
		if first {
			r.All, first = ids, false
		}
		r.All = slices.DeleteFunc(slices.Clone(r.All), func(id string) bool { return !slices.Contains(ids, id) })
		for _, id := range ids {
			if !slices.Contains(r.Any, id) {
				r.Any = append(r.Any, id)
			}
		}
	}
	if n := len(r.All); n > 0 {
		r.Former = r.All[:n-1]
	}
	return r, nil
}

// Serving returns the one of root's keys, alone, that all sealing keys in the store are
// wrapped under: the one in use if that is so, else another. It reports ErrSealed if
// there is none.
func Serving(ctx context.Context, db *fsm.DB, root *RootKey) (*RootKey, error) {
	one := root.Keys()[0]
	err := db.View(ctx, func(tx *fsm.Tx) error {
		r, err := RootsOf(tx)
		if err != nil || len(r.Any) == 0 {
			return err
		}
		for _, k := range root.Keys() {
			if slices.Contains(r.All, k.ID()) {
				one = k
				return nil
			}
		}
		return ErrSealed
	})
	return one, err
}

// Rewrap wraps every sealing key under root's key in use, in addition to and behind what
// it is wrapped under, and reports whether that was news. Every node must know that key.
func Rewrap(tx *fsm.Tx, root *RootKey) (news bool, err error) {
	for k, err := range sealingKeys.List(tx, fsm.Global) {
		if err != nil {
			return news, err
		}
		i := slices.Index(k.roots(), root.ID())
		if i >= 0 && i == len(k.Boxes)-1 {
			continue
		}
		box, err := k.boxOf(root)
		if err != nil {
			return news, err
		}
		secret, err := k.unwrap(root, box)
		if err != nil {
			return news, err
		}
		next := *k
		next.Boxes = slices.DeleteFunc(slices.Clone(k.Boxes), func(b rootBox) bool { return b.Root == root.ID() })
		if err := next.wrap(root, secret[:]); err != nil {
			return news, err
		}
		if err := sealingKeys.Put(tx, &next); err != nil {
			return news, err
		}
		news = true
	}
	return news, nil
}

// Forget removes what is wrapped under other root keys than those named, and returns
// their fingerprints. What is not wrapped under root's key in use stays as it is. If any
// went, there is a new sealing key as well: whoever has a former root key and the store
// as it was then knows the older ones.
func Forget(tx *fsm.Tx, root *RootKey, named []string) (gone []string, err error) {
	newest := uint32(0)
	for k, err := range sealingKeys.List(tx, fsm.Global) {
		if err != nil {
			return nil, err
		}
		newest = k.ID
		next := *k
		next.Boxes = slices.DeleteFunc(slices.Clone(k.Boxes), func(b rootBox) bool {
			return b.Root != root.ID() && !slices.Contains(named, b.Root)
		})
		if len(next.Boxes) == len(k.Boxes) || !slices.Contains(next.roots(), root.ID()) {
			continue
		}
		for _, id := range k.roots() {
			if !slices.Contains(next.roots(), id) && !slices.Contains(gone, id) {
				gone = append(gone, id)
			}
		}
		if err := sealingKeys.Put(tx, &next); err != nil {
			return nil, err
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	return gone, addKey(tx, root, newest+1, tx.Now().Add(settling))
}
