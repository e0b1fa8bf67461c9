package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// Admission is what the API asks of the cluster about who may join it, and about the
// authority that certifies its nodes.
type Admission interface {
	CreateJoinToken(ctx context.Context, q form.TokenRequest) (string, form.TokenInfo, error)
	ListJoinTokens(ctx context.Context) ([]form.TokenInfo, error)
	RevokeJoinToken(ctx context.Context, id string) error
	AuthorityStatus(ctx context.Context) (cluster.AuthorityStatus, error)
	RotateAuthority(ctx context.Context) error
}

func (a *API) admission() []route {
	return []route{
		{Method: "GET", Path: "/cluster/tokens", Needs: ofInstallation, Op: "listJoinTokens", Summary: "List the join tokens: open ones, and others for a day after their end.", Do: handle(a.listJoinTokens)},
		{Method: "POST", Path: "/cluster/tokens", Needs: ofInstallation, Op: "createJoinToken", Summary: "Make a token by which one new node joins.", Status: http.StatusCreated, Do: handle(a.createJoinToken)},
		{Method: "DELETE", Path: "/cluster/tokens/{id}", Needs: ofInstallation, Op: "revokeJoinToken", Summary: "Make a join token worthless.", Do: handle(a.revokeJoinToken)},
		{Method: "GET", Path: "/cluster/ca", Needs: ofInstallation, Op: "showAuthority", Summary: "The authority that certifies the nodes, and how far its rotation is.", Do: handle(a.showAuthority)},
		{Method: "POST", Path: "/cluster/ca/rotate", Needs: ofInstallation, Op: "rotateAuthority", Summary: "Replace that authority, with overlap; does nothing while a rotation is under way.", Status: http.StatusAccepted, Do: handle(a.rotateAuthority)},
	}
}

type joinToken struct {
	ID        string     `json:"id" doc:"Names the token; gives nothing away."`
	State     string     `json:"state" enum:"open|used|revoked|expired" doc:"Only an open one can be used."`
	CreatedBy string     `json:"created_by" doc:"Who made it."`
	RootKey   bool       `json:"root_key" doc:"Whether the node that joins is given the root key."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
	ExpiresAt time.Time  `json:"expires_at" doc:"When it stops working."`
	UsedAt    *time.Time `json:"used_at,omitempty" doc:"When a node joined by it."`
	UsedBy    string     `json:"used_by,omitempty" doc:"That node."`
	RevokedAt *time.Time `json:"revoked_at,omitempty" doc:"When it was revoked."`
	Token     string     `json:"token,omitempty" doc:"The token itself; only in the answer that makes it."`
}

func (a *API) showJoinToken(i *form.TokenInfo) joinToken {
	t := joinToken{ID: i.ID, State: i.State(a.cfg.DB.Now()), CreatedBy: i.By, RootKey: i.RootKey, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt, UsedBy: i.UsedBy}
	if !i.UsedAt.IsZero() {
		t.UsedAt = &i.UsedAt
	}
	if !i.RevokedAt.IsZero() {
		t.RevokedAt = &i.RevokedAt
	}
	return t
}

func (a *API) listJoinTokens(c *call, _ *none) (*page[joinToken], error) {
	rows, err := a.cfg.Cluster.ListJoinTokens(c.Ctx)
	return show(rows, "", a.showJoinToken), err
}

type newJoinToken struct {
	TTL            int  `json:"ttl_seconds" min:"1" max:"86400" default:"3600" doc:"How long it may be used."`
	WithoutRootKey bool `json:"without_root_key" doc:"The node that joins must bring the root key itself."`
}

type joinTokenIn struct {
	Body newJoinToken `required:"false"`
}

func (a *API) createJoinToken(c *call, in *joinTokenIn) (*joinToken, error) {
	by := identity.ActorFrom(c.Ctx)
	q := form.TokenRequest{TTL: time.Duration(in.Body.TTL) * time.Second, RootKey: !in.Body.WithoutRootKey, By: string(by.Kind)}
	if by.ID != "" {
		q.By += " " + by.ID
	}
	text, info, err := a.cfg.Cluster.CreateJoinToken(c.Ctx, q)
	if err != nil {
		return nil, explained(err)
	}
	t := a.showJoinToken(&info)
	t.Token = text
	return &t, nil
}

type joinTokenID struct {
	ID string `path:"id" max:"64" doc:"Token ID."`
}

func (a *API) revokeJoinToken(c *call, in *joinTokenID) (*none, error) {
	return nil, explained(a.cfg.Cluster.RevokeJoinToken(c.Ctx, in.ID))
}

type authority struct {
	ClusterID   string            `json:"cluster_id" doc:"ID of the cluster."`
	Phase       string            `json:"phase" enum:"stable|distribute|switch" doc:"stable: no rotation is under way; distribute: every member is told of the next authority; switch: every member gets a certificate from it."`
	Since       *time.Time        `json:"since,omitempty" doc:"Since when it is in this phase; absent: since the founding."`
	Fingerprint string            `json:"fingerprint" doc:"The authority that signs."`
	ExpiresAt   time.Time         `json:"expires_at" doc:"When its own certificate ends."`
	Next        string            `json:"next,omitempty" doc:"The authority that shall sign."`
	Former      string            `json:"former,omitempty" doc:"The authority that is still trusted."`
	Members     []authorityMember `json:"members" doc:"The nodes."`
}

type authorityMember struct {
	ID      string `json:"id" doc:"Node ID."`
	CA      string `json:"ca,omitempty" doc:"The authority that its certificate is from."`
	Waiting string `json:"waiting,omitempty" doc:"What a rotation waits for at this node."`
}

func (a *API) showAuthority(c *call, _ *none) (*authority, error) {
	s, err := a.cfg.Cluster.AuthorityStatus(c.Ctx)
	if err != nil {
		return nil, err
	}
	out := &authority{ClusterID: s.ClusterID, Phase: string(s.Phase), Fingerprint: s.Fingerprint, ExpiresAt: s.Expires, Next: s.Next, Former: s.Former, Members: []authorityMember{}}
	if !s.Since.IsZero() {
		out.Since = &s.Since
	}
	for _, m := range s.Members {
		out.Members = append(out.Members, authorityMember{m.ID, m.CA, m.Waiting})
	}
	return out, nil
}

func (a *API) rotateAuthority(c *call, _ *none) (*authority, error) {
	if err := a.cfg.Cluster.RotateAuthority(c.Ctx); err != nil {
		return nil, explained(err)
	}
	return a.showAuthority(c, nil)
}

// explained makes what the cluster says about its state fit for a person.
func explained(err error) error {
	for kind, as := range map[error]error{fsm.ErrRefused: problem.ErrState, fsm.ErrConflict: problem.ErrState, fsm.ErrNotFound: fsm.ErrNotFound} {
		if errors.Is(err, kind) {
			return &identity.Error{Kind: as, Detail: asSentence(strings.TrimSuffix(err.Error(), ": "+kind.Error()))}
		}
	}
	return err
}
