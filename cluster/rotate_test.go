package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// rotated waits until every running node has a certificate of an authority other than
// old, and trusts no other.
func (h *house) rotated(old string) {
	h.t.Helper()
	eventually(h.t, "the rotation to end", func() bool {
		for _, r := range h.rooms {
			if r.node == nil {
				continue
			}
			id := r.node.self.Identity()
			if id.Authority().Phase() != form.Stable || form.Fingerprint(id.Authority().Cert) == old || !id.Current() || len(id.TLS.Trust) != 1 {
				return false
			}
		}
		return true
	})
}

func (h *house) authorityOf(i int) string {
	return form.Fingerprint(h.rooms[i].node.self.Identity().Authority().Cert)
}

// writing writes through every node that runs until the function it returns is called,
// which reports what went wrong.
func (h *house) writing() (stop func() []error) {
	var done atomic.Bool
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, r := range h.rooms {
		all.Go(func() {
			for k := 0; !done.Load(); k++ {
				if err := put(r.db, fmt.Sprint(r.cfg.NodeID, k%8), "x"); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("%s: %w", r.cfg.NodeID, err))
					mu.Unlock()
				}
			}
		})
	}
	return func() []error {
		done.Store(true)
		all.Wait()
		return errs
	}
}

func TestRotateAuthorityUnderWrites(t *testing.T) {
	t.Parallel()
	var told sync.Map
	h := newHouse(t, 3, func(c *Config) {
		c.Told = func(_ *fsm.Tx, n form.News) error { told.Store(n.Kind, true); return nil }
	})
	h.start()
	h.settled()
	old := h.authorityOf(0)
	stolen := h.rooms[1].node.self.Identity().TLS // of the time before
	stop := h.writing()
	for range 2 { // asked twice, on two nodes
		for _, i := range h.followers() {
			if err := h.rooms[i].node.RotateAuthority(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	h.rotated(old)
	if errs := stop(); len(errs) > 0 {
		t.Errorf("%d writes failed during the rotation, the first: %v", len(errs), errs[0])
	}
	s, err := h.rooms[0].node.AuthorityStatus(t.Context())
	if err != nil || s.Phase != form.Stable || s.Former != "" || len(s.Members) != 3 || s.Fingerprint == old {
		t.Errorf("%+v, %v", s, err)
	}
	for _, m := range s.Members {
		if m.CA != s.Fingerprint || m.Waiting != "" {
			t.Errorf("%+v", m)
		}
	}
	for _, kind := range []string{form.RotationStarted, form.AuthorityRotated} {
		if _, ok := told.Load(kind); !ok {
			t.Errorf("nobody was told of %s", kind)
		}
	}
	h.refuses(0, stolen)
	for i := range h.rooms { // what is on disk is enough to come back
		h.stop(i)
		h.start(i)
	}
	token := h.token(0, form.TokenRequest{RootKey: true}) // and the new authority takes nodes in
	i := h.grow()
	if _, err := h.joinBy(h.soon(), i, token, nil); err != nil {
		t.Fatal(err)
	}
	h.start(i)
	h.sameState()
}

// refuses checks that node i accepts no call with the identity.
func (h *house) refuses(i int, id wire.Identity) {
	h.t.Helper()
	for _, proto := range []string{"quis-raft/1", "quis-rpc/1"} {
		c, err := tls.Dial("tcp", h.addrs[i], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}, Certificates: []tls.Certificate{id.Cert}})
		if err != nil {
			continue
		}
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			h.t.Fatal(err)
		}
		_, err = c.Read(make([]byte, 1))
		var late interface{ Timeout() bool }
		if err == nil || errors.As(err, &late) && late.Timeout() {
			h.t.Errorf("%s: a certificate that must be refused was not: %v", proto, err)
		}
		c.Close()
	}
}

// A leader dies in each phase; whoever comes next goes on. Nobody is lost on the way.
func TestRotationOutlivesItsLeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	old := h.authorityOf(0)
	if err := h.rooms[h.leader()].node.RotateAuthority(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l := h.leader()
		h.crash(l)
		h.leader()
		h.start(l)
	}
	h.rotated(old)
	h.sameState()
}

// A member that is down holds the rotation up, and comes back into it.
func TestRotationWaitsForAMemberThatIsDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	old := h.authorityOf(0)
	down := h.followers()[0]
	l := h.rooms[h.leader()].node
	if err := l.RotateAuthority(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.crash(down)
	if err := h.rooms[h.leader()].node.RotateAuthority(t.Context()); err != nil {
		t.Errorf("asked again while it is under way: %v", err)
	}
	h.start(down)
	h.rotated(old)

	h.crash(down)
	if err := h.rooms[h.leader()].node.RotateAuthority(t.Context()); !errors.Is(err, fsm.ErrRefused) {
		t.Errorf("begun while a member is down: %v", err)
	}
	h.start(down)
}

// A node that slept through a whole rotation, and one whose certificate has expired, come
// back by the root key.
func TestNodeThatSleptThroughARotationComesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	old := h.authorityOf(0)
	asleep := h.followers()[0]
	before := *h.rooms[asleep].node.self.Identity()
	if err := h.rooms[h.leader()].node.RotateAuthority(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.rotated(old)
	h.crash(asleep)
	if err := before.Save(h.rooms[asleep].cfg.DataDir, h.root); err != nil { // as from an old copy of the disk
		t.Fatal(err)
	}
	h.start(asleep)
	h.rotated(old)
	h.sameState()
}

// Certificates that live for seconds are renewed again and again, and nothing is lost.
func TestCertificatesRenewThemselves(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, func(c *Config) { c.CertLife = 6 * time.Second })
	h.start()
	first := map[int]string{}
	for i, r := range h.rooms {
		first[i] = r.node.self.Identity().TLS.Cert.Leaf.SerialNumber.String()
	}
	early := h.rooms[1].node.self.Identity().TLS
	stop := h.writing()
	eventually(t, "all certificates to be renewed, and the first to expire", func() bool {
		for i, r := range h.rooms {
			if r.node.self.Identity().TLS.Cert.Leaf.SerialNumber.String() == first[i] {
				return false
			}
		}
		return time.Now().After(early.Cert.Leaf.NotAfter)
	})
	if errs := stop(); len(errs) > 0 {
		t.Errorf("%d writes failed during the renewals, the first: %v", len(errs), errs[0])
	}
	h.refuses(0, early) // invariant 20: an expired certificate
	asleep := h.followers()[0]
	h.crash(asleep)
	until := h.rooms[h.leader()].node.self.Identity().TLS.Cert.Leaf.NotAfter
	eventually(t, "the certificate of the node that sleeps to expire", func() bool { return time.Now().After(until) })
	h.start(asleep)
	h.sameState()
}
