package cluster

import (
	"errors"
	"testing"

	"github.com/quis-idp/quis/cluster/compare"
	"github.com/quis-idp/quis/cluster/wire"
)

// A node that was removed still has a certificate. No leader does anything for it.
func TestLeaderDoesNothingForARemovedNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	lead, out := h.leader(), h.followers()[0]
	creds := &wire.Credentials{}
	creds.Set(h.rooms[out].node.self.Identity().TLS)
	if err := h.rooms[lead].node.Remove(t.Context(), h.rooms[out].cfg.NodeID, true); err != nil {
		t.Fatal(err)
	}
	h.stop(out)
	p, err := wire.Listen(wire.Config{Listen: "127.0.0.1:0", Credentials: creds, RPC: &wire.Mux{}, Join: &wire.Mux{}, Logger: testLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	lead = h.leader()
	for method, q := range map[string]any{
		methodRenew:    &renewRequest{[]byte("x")},
		"change":       &struct{}{},
		"move":         &struct{}{},
		"propose":      &struct{}{},
		methodCheckup:  &struct{}{},
		"state":        &struct{}{},
		"diverged":     &struct{}{},
		"checkpoint":   &struct{}{},
		"no such call": &struct{}{},
	} {
		var fault *wire.Fault
		// Its certificate is void once every member knows of revocations; then there is no call at all.
		if err := p.Caller().Call(t.Context(), h.rooms[lead].cfg.NodeID, h.addrs[lead], method, q, nil); err == nil {
			t.Errorf("%s: it is answered", method)
		} else if errors.As(err, &fault) && (method == methodRenew || method == "change" || method == "move") && fault.Code != codeRefused {
			t.Errorf("%s: %+v", method, fault)
		}
	}
}

// A node throws its state away only when its own hash bears out what the leader says, and
// for nobody but the leader.
func TestNodeKeepsItsStateAgainstAWordAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	lead, f := h.leader(), h.followers()
	at := h.rooms[f[0]]
	q := struct {
		Index uint64      `cbor:"1,keyasint"`
		Yours compare.Sum `cbor:"2,keyasint"`
		Right compare.Sum `cbor:"3,keyasint"`
		Good  []string    `cbor:"4,keyasint,omitempty"`
	}{Index: at.db.Position().Index, Yours: compare.Sum{Hash: [32]byte{1}}, Right: compare.Sum{Hash: [32]byte{2}}, Good: []string{h.rooms[lead].cfg.NodeID}}
	for _, from := range []int{lead, f[1]} {
		var fault *wire.Fault
		err := h.rooms[from].node.port.Caller().Call(t.Context(), at.cfg.NodeID, h.addrs[f[0]], "diverged", &q, nil)
		if !errors.As(err, &fault) || at.node.Isolated() != nil {
			t.Errorf("from %s: %v; the node keeps apart: %v", h.rooms[from].cfg.NodeID, err, at.node.Isolated())
		}
	}
}
