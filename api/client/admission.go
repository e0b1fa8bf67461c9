package client

import (
	"context"
	"net/http"
	"time"
)

// A JoinToken lets one new node join the cluster.
type JoinToken struct {
	ID        string     `json:"id"`
	State     string     `json:"state"` // open, used, revoked or expired
	CreatedBy string     `json:"created_by"`
	RootKey   bool       `json:"root_key"` // the node that joins is given the root key
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at,omitempty"`
	UsedBy    string     `json:"used_by,omitempty"` // node ID
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	Token     string     `json:"token,omitempty"` // the secret itself; only from CreateJoinToken
}

// JoinTokens returns the tokens that can be used, and for a day after their end the others.
func (c *Client) JoinTokens(ctx context.Context) ([]JoinToken, error) {
	p, err := listOf[JoinToken](ctx, c, "/cluster/tokens", request{house: true})
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}

// CreateJoinToken makes a token that works for ttl (0: an hour). The node that joins by it
// gets the root key, unless withoutRootKey is set.
func (c *Client) CreateJoinToken(ctx context.Context, ttl time.Duration, withoutRootKey bool) (*JoinToken, error) {
	body := map[string]any{"without_root_key": withoutRootKey}
	if ttl != 0 {
		body["ttl_seconds"] = int(ttl / time.Second)
	}
	return fetch[JoinToken](ctx, c, http.MethodPost, "/cluster/tokens", request{body: body, house: true}, nil)
}

// RevokeJoinToken makes a token worthless.
func (c *Client) RevokeJoinToken(ctx context.Context, id string) error {
	return c.removeWith(ctx, join("cluster", "tokens", id), request{house: true})
}

// An Authority is what certifies the nodes of the cluster.
type Authority struct {
	ClusterID   string            `json:"cluster_id"`
	Phase       string            `json:"phase"`           // stable, distribute or switch
	Since       *time.Time        `json:"since,omitempty"` // in this phase; nil: since the founding
	Fingerprint string            `json:"fingerprint"`     // of the one that signs
	ExpiresAt   time.Time         `json:"expires_at"`
	Next        string            `json:"next,omitempty"`   // shall sign
	Former      string            `json:"former,omitempty"` // is still trusted
	Members     []AuthorityMember `json:"members"`
}

// An AuthorityMember is one node's part in a rotation.
type AuthorityMember struct {
	ID      string `json:"id"`
	CA      string `json:"ca,omitempty"`      // its certificate is from that one
	Waiting string `json:"waiting,omitempty"` // what the rotation waits for there
}

// Authority returns the cluster's authority and how far its rotation is.
func (c *Client) Authority(ctx context.Context) (*Authority, error) {
	return fetch[Authority](ctx, c, http.MethodGet, "/cluster/ca", request{house: true}, nil)
}

// RotateAuthority begins to replace the authority; it returns at once.
func (c *Client) RotateAuthority(ctx context.Context) (*Authority, error) {
	return fetch[Authority](ctx, c, http.MethodPost, "/cluster/ca/rotate", request{house: true}, nil)
}
