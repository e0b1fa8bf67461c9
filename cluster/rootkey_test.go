package cluster

import (
	"strings"
	"testing"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/keys/seal"
)

// While the root key is replaced, a new node is given all keys by its token, or is told
// that it lacks one; a member that comes back with one of them joins in.
func TestNewNodesWhileTheRootKeyIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	now := seal.GenerateRootKey()
	both, err := seal.JoinRootKeys(h.root, now)
	if err != nil {
		t.Fatal(err)
	}
	back, err := seal.JoinRootKeys(now, h.root)
	if err != nil {
		t.Fatal(err)
	}
	h.start()
	h.settled()
	for i, r := range h.rooms { // one node has gone ahead
		h.stop(i)
		if r.cfg.Root = both; i == 0 {
			r.cfg.Root = back
		}
		h.start(i)
	}
	i := h.grow()
	given, err := h.joinBy(h.soon(), i, h.token(1, form.TokenRequest{RootKey: true}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if ids := given.IDs(); len(ids) != 2 || !both.Knows(ids[0]) || !both.Knows(ids[1]) {
		t.Errorf("the token brought %v", ids)
	}
	h.rooms[i].cfg.Root = given
	h.start(i)
	k := h.grow()
	h.rooms[k].cfg.Root = now
	if err := h.tryStart(h.soon(), k); err == nil || !strings.Contains(err.Error(), h.root.ID()) {
		t.Errorf("a new node with one key of two: %v", err)
	}
	h.sameState()
}
