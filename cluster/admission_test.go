package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// token makes a join token at node i.
func (h *house) token(i int, q form.TokenRequest) form.Token {
	h.t.Helper()
	text, _, err := h.rooms[i].node.CreateJoinToken(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	t, err := form.ParseToken(text)
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// joinBy has a node of its own room join by a token; it is not started.
func (h *house) joinBy(ctx context.Context, i int, token form.Token, root *seal.RootKey) (*seal.RootKey, error) {
	r := h.rooms[i]
	return Join(ctx, JoinConfig{
		DataDir: r.cfg.DataDir, NodeID: r.cfg.NodeID, Listen: r.cfg.Listen, Join: r.cfg.Join, Token: token, Resolver: r.cfg.Resolver,
		Logger: r.cfg.Logger, Root: root, SaveRoot: func(k *seal.RootKey) error { return seal.SaveRootKey(filepath.Join(r.cfg.DataDir, "root.key"), k) },
	})
}

func (h *house) soon() context.Context {
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	h.t.Cleanup(cancel)
	return ctx
}

func TestJoinByTokenBringsTheRootKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	if err := put(h.rooms[0].db, "early", "x"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		i := h.grow()
		h.rooms[i].cfg.Root = nil // it has none
		root, err := h.joinBy(h.soon(), i, h.token(0, form.TokenRequest{RootKey: true}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if root.ID() != h.root.ID() {
			t.Fatal("another root key was handed over")
		}
		saved, err := seal.LoadRootKey(filepath.Join(h.rooms[i].cfg.DataDir, "root.key"), "")
		if err != nil || saved.ID() != root.ID() {
			t.Errorf("root key saved: %v, %v", saved, err)
		}
		h.rooms[i].cfg.Root, h.rooms[i].cfg.Join = root, nil // what is on disk must do
		h.start(i)
		eventually(t, "the new node to vote", func() bool { return h.isVoter(i) })
		if text(h.rooms[i].db, "early") != "x" {
			t.Error("the new node lacks what came before it")
		}
	}
	h.stop(h.leader())
	h.allWrite()
}

// Invariant 20: the second use of a join token is refused.
func TestTwoNodesWithOneTokenOneWins(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for round := range 3 {
		token := h.token(h.followers()[0], form.TokenRequest{RootKey: true})
		a, b := h.grow(), h.grow()
		h.rooms[a].cfg.Join, h.rooms[b].cfg.Join = h.addrs[0:1], h.addrs[1:2] // on two members
		errs := make([]error, 2)
		var both sync.WaitGroup
		for k, i := range []int{a, b} {
			both.Go(func() { _, errs[k] = h.joinBy(h.soon(), i, token, nil) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: %v; %v", round, errs[0], errs[1])
		}
		err := errors.Join(errs...)
		for _, w := range []string{"was used at", "by node n", "works only once", "quis cluster token"} {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q is missing in %v", w, err)
			}
		}
		winner := a
		if errs[0] != nil {
			winner = b
		}
		h.start(winner)
		eventually(t, "the winner to vote", func() bool { return h.isVoter(winner) })
		if got := len(h.rooms[h.leader()].node.servers()); got != 4+round {
			t.Errorf("%d members", got)
		}
	}
}

func TestTokenIsMadeHereAndUsedThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	old := h.leader()
	token := h.token(old, form.TokenRequest{RootKey: true})
	h.crash(old)
	next := h.leader()
	i := h.grow()
	h.rooms[i].cfg.Join = h.addrs[:3] // one of which is gone
	if _, err := h.joinBy(h.soon(), i, token, nil); err != nil {
		t.Fatal(err)
	}
	// The answer may have been lost with the leader: the same node may ask again, another may not.
	r := h.rooms[i]
	request := []byte("of another")
	_, err := form.UseToken(t.Context(), h.rooms[next].db, form.Use{ID: token.ID(), Node: r.cfg.NodeID, Request: request, Secret: make([]byte, 20)}, nil)
	if err == nil {
		t.Error("used without the secret")
	}
	h.start(i)
	h.start(old)
	h.sameState()
}

func TestRefusedTokensSayWhatToDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	other := newHouse(t, 1, nil)
	other.start()
	good := form.TokenRequest{RootKey: true}
	for name, c := range map[string]struct {
		token func() form.Token
		root  *seal.RootKey
		says  []string
	}{
		"expired": {func() form.Token {
			k := h.token(0, form.TokenRequest{RootKey: true, TTL: time.Second})
			eventually(t, "the token to expire", func() bool {
				if err := put(h.rooms[0].db, "tick", "x"); err != nil {
					t.Error(err)
				}
				for _, i := range must(h.rooms[0].node.ListJoinTokens(t.Context())) {
					if i.ID == k.ID() && i.State(time.Now()) == "expired" {
						return true
					}
				}
				return false
			})
			return k
		}, nil, []string{"expired at", "quis cluster token"}},
		"revoked": {func() form.Token {
			k := h.token(0, good)
			if err := h.rooms[0].node.RevokeJoinToken(t.Context(), k.ID()); err != nil {
				t.Error(err)
			}
			return k
		}, nil, []string{"was revoked at", "quis cluster token"}},
		"of another cluster": {func() form.Token { return other.token(0, good) }, nil, []string{"another cluster", "rotated", "Nothing was told"}},
		"without root key":   {func() form.Token { return h.token(0, form.TokenRequest{}) }, nil, []string{"without the root key", "root_key_file"}},
		"wrong root key":     {func() form.Token { return h.token(0, good) }, seal.GenerateRootKey(), []string{"root key", "give it the right one"}},
	} {
		i := h.grow()
		t.Run(name, func(t *testing.T) {
			_, err := h.joinBy(h.soon(), i, c.token(), c.root)
			if err == nil {
				t.Fatal("joined")
			}
			for _, w := range c.says {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is missing in %v", w, err)
				}
			}
			if yes, err := Enrolled(h.rooms[i].cfg.DataDir); yes || err != nil {
				t.Errorf("enrolled: %v, %v", yes, err)
			}
		})
	}
	if err := h.rooms[0].node.RevokeJoinToken(t.Context(), "nothing"); !errors.Is(err, fsm.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := h.rooms[0].node.CreateJoinToken(t.Context(), form.TokenRequest{TTL: 25 * time.Hour}); !errors.Is(err, fsm.ErrRefused) {
		t.Error(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A founder that loses its disk before Raft began must not leave the others waiting for ever.
func TestFoundingBeginsAnewWithoutItsFounder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.decided()
	ctx, cancel := context.WithCancel(h.soon())
	second := h.rooms[1]
	var early sync.WaitGroup
	early.Go(func() {
		if err := h.tryStart(ctx, 0); err == nil {
			t.Error("founded without the third node")
		}
	})
	if err := h.tryStart(h.soon(), 1); err != nil {
		t.Fatal(err)
	}
	cancel() // the founder has told the second node and waits for the third
	early.Wait()
	h.wipe(0)
	first := second.node.self.Identity().ClusterID

	var others sync.WaitGroup
	for _, i := range []int{0, 2} {
		others.Go(func() {
			if err := h.tryStart(h.soon(), i); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "the second node to end", func() bool { return second.died() != nil })
	if !strings.Contains(second.died().Error(), "came to nothing") {
		t.Error(second.died())
	}
	h.stop(1)
	h.start(1) // as its supervisor does
	others.Wait()
	if err := put(h.rooms[1].db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
	for _, r := range h.rooms {
		if id := r.node.self.Identity().ClusterID; id == first || id != h.rooms[0].node.self.Identity().ClusterID {
			t.Errorf("%s is of cluster %s", r.cfg.NodeID, id)
		}
	}
}

// decided leaves in the first node's directory what it has when it dies after deciding to
// found the cluster and before telling anybody.
func (h *house) decided() {
	h.t.Helper()
	r := h.rooms[0]
	cfg := r.cfg
	cfg.DB = &fsm.DB{}
	if err := cfg.complete(); err != nil {
		h.t.Fatal(err)
	}
	n := &Node{cfg: cfg, log: cfg.Logger, creds: &wire.Credentials{}}
	var founders []form.Founder
	for i, a := range h.addrs {
		founders = append(founders, form.Founder{ID: h.rooms[i].cfg.NodeID, Address: a})
	}
	l, err := disk.OpenLog(cfg.DataDir, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "unused"}), func(err error) { h.t.Error(err) })
	if err != nil {
		h.t.Fatal(err)
	}
	if err := errors.Join(l.Close(), n.newSelf().Establish(founders)); err != nil {
		h.t.Fatal(err)
	}
}
