package cluster

import (
	"strings"
	"testing"

	"github.com/quis-idp/quis/cluster/form"
)

// Whoever has a token that is worth nothing is refused without a look at the membership,
// and so cannot hold up those who wait to change it.
func TestWorthlessTokenHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	token := h.token(0, form.TokenRequest{RootKey: true})
	n := h.rooms[0].node
	if err := n.RevokeJoinToken(t.Context(), token.ID()); err != nil {
		t.Fatal(err)
	}
	i := h.grow()
	n.admitting.Lock() // somebody changes the membership
	_, err := h.joinBy(h.soon(), i, token, nil)
	n.admitting.Unlock()
	if err == nil || !strings.Contains(err.Error(), "was revoked at") {
		t.Errorf("joined by a token that was revoked: %v", err)
	}
}

// A node that joined by a token, was removed as a thief and asks by the same token again is
// not taken in once that is revoked.
func TestRevokedThiefStaysOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	token := h.token(0, form.TokenRequest{RootKey: true})
	i := h.grow()
	if _, err := h.joinBy(h.soon(), i, token, nil); err != nil {
		t.Fatal(err)
	}
	n := h.rooms[h.leader()].node
	if err := n.RevokeJoinToken(t.Context(), token.ID()); err == nil || !strings.Contains(err.Error(), "has used it") {
		t.Errorf("revoke a used token: %v", err)
	}
	if err := n.Remove(t.Context(), h.rooms[i].cfg.NodeID, true); err != nil {
		t.Fatal(err)
	}
	h.wipe(i)
	if _, err := h.joinBy(h.soon(), i, token, nil); err == nil || !strings.Contains(err.Error(), "was revoked at") {
		t.Errorf("came back: %v", err)
	}
	if got := len(h.rooms[h.leader()].node.servers()); got != 3 {
		t.Errorf("%d members", got)
	}
}
