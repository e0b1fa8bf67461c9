package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// grow adds a node that joins the house.
func (h *house) grow() int {
	h.addrs = append(h.addrs, freeAddresses(h.t, 1)...)
	i := len(h.rooms)
	r := h.newRoom(i)
	r.cfg.BootstrapExpect, r.cfg.Join = 0, h.addrs[:i]
	h.rooms = append(h.rooms, r)
	return i
}

func TestGrowFromOneToThree(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	if err := put(h.rooms[0].db, "early", "x"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		i := h.grow()
		h.start(i)
		eventually(t, "the new node to vote", func() bool { return h.isVoter(i) })
		if text(h.rooms[i].db, "early") != "x" {
			t.Error("new node lacks what came before it")
		}
	}
	h.stop(h.leader())
	h.allWrite()
}

func TestFoundersStartInAnyOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, i := range []int{2, 1, 0} {
		if i == 0 { // the founder comes last, when the others already wait for it
			for _, k := range []int{1, 2} {
				eventually(t, "the port of a waiting node", func() bool {
					c, err := net.Dial("tcp", h.addrs[k])
					if err == nil {
						c.Close()
					}
					return err == nil
				})
			}
		}
		all.Go(func() {
			if err := h.tryStart(ctx, i); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	h.leader()
	if err := put(h.rooms[1].db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
}

func TestFounderThatCrashedGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.decided()
	h.start()
	if err := put(h.rooms[2].db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
}

func TestFormationMistakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(h *house)
		says  []string
	}{
		"root keys differ": {func(h *house) { h.rooms[1].cfg.Root = seal.GenerateRootKey() }, []string{"root key"}},
		"expect differs":   {func(h *house) { h.rooms[1].cfg.BootstrapExpect = 3 }, []string{"bootstrap_expect", "must agree"}},
		"same node ID":     {func(h *house) { h.rooms[1].cfg.NodeID = "n1" }, []string{"n1", "ID of its own"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 2, nil)
			c.spoil(h)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			errs := make([]error, 2)
			var all sync.WaitGroup
			for i := range h.rooms {
				all.Go(func() {
					if errs[i] = h.tryStart(ctx, i); errs[i] != nil {
						cancel() // the other may wait for ever
					}
				})
			}
			all.Wait()
			both := ""
			for _, err := range errs {
				if err != nil {
					both += err.Error() + "\n"
				}
			}
			for _, w := range c.says {
				if !strings.Contains(both, w) {
					t.Errorf("errors %q do not say %q", both, w)
				}
			}
		})
	}
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(c *Config) { c.BootstrapExpect = 0 })
	h.refused(0, "cluster.join", "bootstrap_expect")
}

func TestWrongRootKeyCannotJoin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	i := h.grow()
	h.rooms[i].cfg.Root = seal.GenerateRootKey()
	h.refused(i, h.root.ID(), h.rooms[i].cfg.Root.ID(), "same root key")
	if got := len(h.rooms[0].node.servers()); got != 1 {
		t.Errorf("%d members", got)
	}
}

func TestLivingMemberIsNotReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, nil)
	h.start()
	i := h.grow()
	h.rooms[i].cfg.NodeID = "n2"
	h.rooms[i].cfg.Join = h.addrs[:1]
	h.refused(i, "n2", "member already")
}

func TestRemovedNodeEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	gone := h.followers()[0]
	id := h.rooms[gone].cfg.NodeID
	if err := h.rooms[h.leader()].node.Remove(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed node to end", func() bool { return h.rooms[gone].died() != nil })
	if err := h.rooms[gone].died().Error(); !strings.Contains(err, id+" was removed") {
		t.Error(err)
	}
	if err := put(h.rooms[h.leader()].db, "a", "x"); err != nil {
		t.Error(err)
	}
}

func TestStrangersOnThePort(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, nil)
	h.start()
	var open []net.Conn
	for i := range 300 { // more than may be unproved at once
		c, err := net.Dial("tcp", h.addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if i%2 == 0 {
			junk := make([]byte, 512)
			rand.Read(junk)
			c.Write(junk) // it may be closed on us already
		}
	}
	for _, c := range open {
		c.Close()
	}
	for _, proto := range []string{"quis-raft/1", "quis-rpc/1", "h2", ""} {
		cfg := &tls.Config{InsecureSkipVerify: true}
		if proto != "" {
			cfg.NextProtos = []string{proto}
		}
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", h.addrs[0], cfg)
		if err != nil {
			continue
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%q: a stranger got an answer", proto)
		}
		c.Close()
	}
	i := h.grow() // the port still serves those who may come
	h.start(i)
	if err := put(h.rooms[i].db, "a", "x"); err != nil {
		t.Error(err)
	}
}

func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	for _, r := range h.rooms {
		old := r.node.self.Identity().TLS.Cert.Leaf.SerialNumber
		eventually(t, "a leader that renews", func() bool { return r.node.renewNow(t.Context()) == nil })
		if r.node.self.Identity().TLS.Cert.Leaf.SerialNumber.Cmp(old) == 0 {
			t.Error("same certificate as before")
		}
	}
	for i, r := range h.rooms {
		if err := put(r.db, "a", r.cfg.NodeID); err != nil {
			t.Errorf("write through node %d with its new certificate: %v", i, err)
		}
	}
	f := h.followers()[0]
	h.stop(f)
	h.start(f) // with the certificate that was saved
}

func TestGossipAndStatus(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	var once sync.Once
	h := newHouse(t, 3, func(c *Config) {
		c.GossipListen = freeAddresses(t, 1)[0]
		once.Do(func() { c.Registerer = reg })
	})
	h.start()
	if err := put(h.rooms[2].db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	n := h.rooms[0].node
	eventually(t, "all to be known by gossip", func() bool {
		for _, o := range h.rooms {
			if !n.gossip.Alive(o.cfg.NodeID) {
				return false
			}
		}
		return true
	})
	if p, _ := n.gossip.Find("n2"); p.Address != h.addrs[1] || p.Version != "test" {
		t.Errorf("gossip says %+v", p)
	}
	eventually(t, "all members to be level", func() bool {
		s := n.Status(t.Context())
		if s.NodeID != "n1" || s.ClusterID == "" || s.LeaderID == "" || s.Term == 0 || len(s.Members) != 3 {
			return false
		}
		for _, m := range s.Members {
			if !m.Alive || !m.Voter || m.Version != "test" || m.AppliedIndex != s.AppliedIndex || m.Leader != (m.ID == s.LeaderID) {
				return false
			}
		}
		return true
	})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
	}
	for _, name := range []string{
		"quis_raft_state", "quis_raft_term", "quis_raft_commit_index", "quis_raft_applied_index", "quis_raft_last_contact_seconds",
		"quis_raft_peers", "quis_raft_apply_duration_seconds", "quis_raft_leader_changes_total", "quis_wal_fsync_duration_seconds",
		"quis_snapshot_last_success_timestamp_seconds",
	} {
		if !got[name] {
			t.Errorf("metric %s is missing", name)
		}
	}
}

// A node that has just started knows nothing of the others yet, and does not say that they are gone.
func TestStartingUntilConfirmed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	for i := range h.rooms {
		h.stop(i)
	}
	if err := h.tryStart(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	n := h.rooms[0].node
	if s := n.Status(t.Context()); s.State != "starting" {
		t.Errorf("alone of three it is %s", s.State)
	}
	eventually(t, "it to say for how long the others have not answered", func() bool {
		return strings.HasPrefix(memberOf(t, n.Status(t.Context()), "n2").Reason, "has not answered yet, for ")
	})
	h.start(1, 2)
	eventually(t, "it to follow or lead", func() bool {
		s := n.Status(t.Context())
		return s.State == "follower" || s.State == "leader"
	})
}

func TestDepositionFencesLateWrites(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	old := h.rooms[h.leader()]
	term, err := old.node.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write := func(tx *fsm.Tx) error { return notes.Put(tx, &note{"duty", "x"}) }
	if err := old.db.Update(term, write); err != nil {
		t.Fatal(err)
	}
	if err := old.node.Transfer(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the term to end", func() bool { return term.Err() != nil })
	// A write that does not notice the end of its context must not get through either.
	late := context.WithoutCancel(term)
	err = old.db.Update(late, func(tx *fsm.Tx) error { return notes.Put(tx, &note{"late", "x"}) })
	if err == nil || text(old.db, "late") != "" {
		t.Errorf("late write: %v", err)
	}
}

func TestNodeComesBackUnderAnotherAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	i := h.followers()[0]
	h.stop(i)
	h.addrs[i] = freeAddresses(t, 1)[0]
	h.rooms[i].cfg.Listen, h.rooms[i].cfg.Join = h.addrs[i], nil
	h.start(i)
	if err := put(h.rooms[i].db, "a", "x"); err != nil {
		t.Fatal(err)
	}
	h.sameState()
	if !h.isVoter(i) {
		t.Error("the vote was lost on the way")
	}
}

func TestLogIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	n := &Node{cfg: Config{SnapshotThreshold: 8192, TrailingLogs: 20480}}
	for _, c := range []struct {
		entries, bytes      int64
		threshold, trailing uint64
	}{
		{0, 0, 8192, 20480},
		{1000, 300 * 1000, 8192, 20480},
		{1000, 1000 * (40 << 10), 1638, 13107},
		{1000, 1000 * (512 << 10), 256, 1024},
	} {
		if th, tr := n.bounds(c.entries, c.bytes); th != c.threshold || tr != c.trailing {
			t.Errorf("%d entries of %d bytes: %d, %d; want %d, %d", c.entries, c.bytes, th, tr, c.threshold, c.trailing)
		}
	}
}
