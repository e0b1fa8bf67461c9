// Package sealtest opens key rings for tests of the rooms that seal.
//
// Not here: anything that looks at keys or at how they are wrapped.
package sealtest

import (
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// Rings makes the first key of a new store, under a root key that nobody else has, and returns a
// ring for each of its nodes.
func Rings(t testing.TB, nodes ...*fsm.DB) []*seal.Ring {
	t.Helper()
	root := seal.GenerateRootKey()
	if err := nodes[0].Update(t.Context(), func(tx *fsm.Tx) error { return seal.Init(tx, root) }); err != nil {
		t.Fatal(err)
	}
	var rings []*seal.Ring
	for _, db := range nodes {
		ring, err := seal.OpenRing(t.Context(), db, root)
		if err != nil {
			t.Fatal(err)
		}
		rings = append(rings, ring)
	}
	return rings
}

// Ring is Rings for a store of one node.
func Ring(t testing.TB, db *fsm.DB) *seal.Ring {
	t.Helper()
	return Rings(t, db)[0]
}
