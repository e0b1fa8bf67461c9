package form

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/keys/seal"
)

// newcomer is a node without Raft: a port and nothing behind it.
func newcomer(t *testing.T, root *seal.RootKey, node string, expect int) *Self {
	t.Helper()
	creds := &wire.Credentials{}
	s := New(Config{
		NodeID: node, CertLife: wire.CertLife, DataDir: t.TempDir(), Expect: expect, Root: root, Logger: slog.New(slog.DiscardHandler),
		Adopted: func(id *Identity) { creds.Set(id.TLS) },
		Admit: func(_ context.Context, _ wire.Peer, q *EnterRequest) (any, error) {
			if q.NodeID < "d" {
				return nil, &wire.Fault{Code: CodeNotLeader, Detail: "founders come in another way"}
			}
			return nil, &wire.Fault{Code: CodeRefused, Detail: "nobody is admitted here"}
		},
	})
	p, err := wire.Listen(wire.Config{
		Listen: "127.0.0.1:0", Credentials: creds, RPC: &wire.Mux{}, Join: s.Calls(),
		JoinKeys: []wire.JoinKey{{RootID: root.ID(), Key: root.Derive("cluster join")}}, Logger: s.cfg.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	s.Use(p)
	p.Serve()
	return s
}

var testRoot = seal.GenerateRootKey()

func TestFoundersGetOneCluster(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	var nodes []*Self
	for _, id := range []string{"a", "b", "c"} {
		nodes = append(nodes, newcomer(t, root, id, 3))
	}
	for _, s := range nodes {
		for _, o := range nodes {
			s.cfg.Join = append(s.cfg.Join, o.port.Advertise())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range nodes {
		all.Go(func() {
			err := s.Form(ctx)
			if err == nil {
				err = s.Found(ctx) // nothing to do but on the first
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	first := nodes[0].Identity()
	if got := len(first.Founders()); got != 3 {
		t.Errorf("%d founders", got)
	}
	for _, s := range nodes {
		if id := s.Identity(); id.ClusterID != first.ClusterID || id.NodeID != s.cfg.NodeID || id.verify() != nil {
			t.Errorf("%s is %s of %s", s.cfg.NodeID, id.NodeID, id.ClusterID)
		}
		saved, err := loadIdentity(s.cfg.DataDir, root)
		if err != nil || saved.ClusterID != first.ClusterID || len(saved.Founders()) != len(s.Identity().Founders()) {
			t.Errorf("%s has saved %+v: %v", s.cfg.NodeID, saved, err)
		}
	}
	late := newcomer(t, root, "d", 0)
	late.cfg.Join = []string{nodes[0].port.Advertise()}
	if err := late.Form(ctx); err == nil || !strings.Contains(err.Error(), "nobody is admitted here") || late.Identity() != nil {
		t.Errorf("late node: %v", err)
	}
}

func TestRenewedIdentityMustBeOfTheCluster(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	ours, theirs := newcomer(t, root, "a", 1), newcomer(t, root, "b", 1)
	for _, s := range []*Self{ours, theirs} {
		if err := s.Form(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Self{theirs, ours} {
		key, request, err := wire.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := s.Identity().Authority().Issue(request, "a", root, wire.CertLife)
		if err != nil {
			t.Fatal(err)
		}
		if err := ours.Renew(cert, key); (err == nil) != (s == ours) {
			t.Errorf("certificate of node %s's authority: %v", s.cfg.NodeID, err)
		}
	}
	if got := len(ours.Identity().Founders()); got != 1 {
		t.Errorf("%d founders after the renewal", got)
	}
}

func TestDamagedIdentityIsRefused(t *testing.T) {
	t.Parallel()
	root := seal.GenerateRootKey()
	s := newcomer(t, root, "a", 1)
	if err := s.Form(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := loadIdentity(s.cfg.DataDir, seal.GenerateRootKey()); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("another root key: %v", err)
	}
	path := filepath.Join(s.cfg.DataDir, disk.IdentityFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(whole), `"a"`, `"b"`, 1) // what is sealed belongs to a
	for _, b := range []string{"", "{", string(whole[:len(whole)/2]), other} {
		if err := os.WriteFile(path, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadIdentity(s.cfg.DataDir, root); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", b, err)
		}
	}
}
