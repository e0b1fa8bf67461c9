package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// CreateJoinToken makes a token by which one new node may join, and returns its text,
// which is kept nowhere. It may be asked of any node. It reports fsm.ErrRefused for a life
// over [form.MaxTokenLife] or too many tokens.
func (n *Node) CreateJoinToken(ctx context.Context, q form.TokenRequest) (string, form.TokenInfo, error) {
	row, err := n.authority(ctx)
	if err != nil {
		return "", form.TokenInfo{}, err
	}
	t, info, err := form.CreateToken(ctx, n.cfg.DB, row, q, n.cfg.Told)
	if err != nil {
		return "", info, err
	}
	return t.Text(), info, nil
}

// ListJoinTokens returns the tokens that can still be used, and for a day after their end the others.
func (n *Node) ListJoinTokens(ctx context.Context) ([]form.TokenInfo, error) {
	return form.ListTokens(ctx, n.cfg.DB)
}

// RevokeJoinToken makes a token worthless. It reports fsm.ErrNotFound for one that is not
// known, and fsm.ErrConflict for one that was used.
func (n *Node) RevokeJoinToken(ctx context.Context, id string) error {
	return form.RevokeToken(ctx, n.cfg.DB, id, n.cfg.Told)
}

// An AuthorityStatus says how the cluster's certificate authority is, and how far its
// rotation, if one is under way.
type AuthorityStatus struct {
	ClusterID   string
	Phase       form.Phase
	Since       time.Time // in this phase; zero: since the founding
	Fingerprint string    // of the authority that signs
	Expires     time.Time // its end
	Next        string    // fingerprint of the one that shall sign
	Former      string    // fingerprint of the one that is still trusted
	Members     []AuthorityMember
}

// An AuthorityMember is a member's part in a rotation.
type AuthorityMember struct {
	ID      string
	CA      string // fingerprint of the authority that its certificate is from; empty: not known
	Waiting string // what the rotation waits for there, in words; empty: nothing
}

// AuthorityStatus asks every member, for at most a second.
func (n *Node) AuthorityStatus(ctx context.Context) (AuthorityStatus, error) {
	row, err := n.authority(ctx)
	if err != nil {
		return AuthorityStatus{}, err
	}
	s := AuthorityStatus{
		ClusterID: row.ClusterID, Phase: row.Phase(), Fingerprint: form.Fingerprint(row.Cert),
		Expires: n.self.Identity().AuthorityEnds(), Next: form.Fingerprint(row.Next), Former: form.Fingerprint(row.Former),
	}
	if row.Since > 0 {
		s.Since = time.UnixMilli(row.Since)
	}
	for _, m := range n.stands(ctx) {
		a := AuthorityMember{ID: m.Node, Waiting: row.Waiting(m)}
		if m.Stand != nil {
			a.CA = m.Stand.Issuer
		}
		s.Members = append(s.Members, a)
	}
	return s, nil
}

// RotateAuthority begins to replace the cluster's certificate authority; [Node.AuthorityStatus]
// tells how far that is. It may be asked of any node, and does nothing while a rotation is
// under way. It reports fsm.ErrRefused while a member does not answer or its release
// knows no rotation.
func (n *Node) RotateAuthority(ctx context.Context) error {
	row, err := n.authority(ctx)
	if err != nil {
		return err
	}
	if row.Phase() != form.Stable {
		return nil
	}
	for _, m := range n.stands(ctx) {
		switch {
		case m.Err != nil:
			return fmt.Errorf("rotate authority: node %s does not answer, and would be locked out: start it, or remove it from the cluster: %w", m.Node, fsm.ErrRefused)
		case m.Stand != nil && len(n.cfg.Root.IDs()) > 1 && !slices.Contains(m.Stand.Roots, n.cfg.Root.ID()):
			return fmt.Errorf("rotate authority: node %s does not know root key %s: finish the change of the root key first: %w", m.Node, n.cfg.Root.ID(), fsm.ErrRefused)
		case m.Stand == nil:
			return fmt.Errorf("rotate authority: the release on node %s knows no rotation: upgrade it first: %w", m.Node, fsm.ErrRefused)
		}
	}
	return form.BeginRotation(ctx, n.cfg.DB, n.cfg.Root, n.cfg.Told)
}

// pristine says whether this node has an empty log and an empty store: it has
// acknowledged nothing to anybody.
func (n *Node) pristine() bool {
	if n.logs == nil || n.cfg.DB.Position().Index > 0 {
		return false
	}
	last, err := n.logs.LastIndex()
	return err == nil && last == 0
}

// endSoon ends the node when the answer under way has had its time to leave.
func (n *Node) endSoon(err error) {
	select {
	case <-time.After(lookEvery):
	case <-n.quit:
	}
	n.die(err)
}

// vouch is what this node knows of a join token.
func (n *Node) vouch(ctx context.Context, id string) (wire.Voucher, error) {
	if !n.started.Load() {
		return wire.Voucher{}, fmt.Errorf("node is starting: %w", fsm.ErrUnavailable)
	}
	return form.Voucher(ctx, n.cfg.DB, id)
}

// tokenCalls are the methods for those who have proved to know a join token.
func (n *Node) tokenCalls() *wire.Mux {
	m := &wire.Mux{}
	wire.Handle(m, form.MethodEnter, n.handleTokenEnter)
	return m
}

// A JoinConfig says how a node with an empty data directory joins by a token, before it is
// started with [Start].
type JoinConfig struct {
	DataDir, NodeID   string
	Listen, Advertise string   // as in Config
	Join              []string // as in Config
	Token             form.Token
	Features          []feature.Feature // as in Config
	Resolver          form.Resolver     // as in Config
	Logger            *slog.Logger

	Root     *seal.RootKey             // nil: the token brings it
	SaveRoot func(*seal.RootKey) error // keeps the one that the token brought
}

// Enrolled says whether the data directory belongs to a node of a cluster, so that a token is of no use there.
func Enrolled(dir string) (bool, error) { return form.Enrolled(dir) }

// Join gets a node its identity by a join token, for as long as ctx lasts, and returns the
// root key of the cluster. What it writes down is what Start goes on with.
func Join(ctx context.Context, cfg JoinConfig) (*seal.RootKey, error) {
	c := Config{
		DataDir: cfg.DataDir, NodeID: cfg.NodeID, Listen: cfg.Listen, Advertise: cfg.Advertise, Join: cfg.Join,
		Features: cfg.Features, Logger: cfg.Logger, Root: seal.GenerateRootKey(), DB: &fsm.DB{}, // only to complete the rest
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	address, err := c.advertisable()
	if err == nil && address == "" {
		address = c.Listen
	}
	if err != nil {
		return nil, err
	}
	// The log is made first: a node with an identity and without a log has lost it.
	unused := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "unused"})
	logs, err := disk.OpenLog(cfg.DataDir, unused, func(err error) { c.Fatal(err) })
	if err != nil {
		return nil, err
	}
	if err := logs.Close(); err != nil {
		return nil, err
	}
	return form.Obtain(ctx, form.Application{
		NodeID: cfg.NodeID, Address: address, Reads: feature.Names(c.Features), DataDir: cfg.DataDir, Join: cfg.Join,
		Token: cfg.Token, Root: cfg.Root, Resolver: cfg.Resolver, Logger: c.Logger, SaveRoot: cfg.SaveRoot,
	})
}
