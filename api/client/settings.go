package client

import (
	"context"
	"net/http"
	"time"
)

const authenticationPath = "/settings/authentication"

// Authentication returns how people of the tenant sign in.
func (c *Client) Authentication(ctx context.Context) (*Row, error) {
	return fetch(ctx, c, http.MethodGet, authenticationPath, request{}, rowETag)
}

// SetAuthentication changes what fields mention; etag, unless empty, is what must still hold.
func (c *Client) SetAuthentication(ctx context.Context, fields map[string]any, etag string) (*Row, error) {
	return fetch(ctx, c, http.MethodPatch, authenticationPath, request{body: fields, ifMatch: etag}, rowETag)
}

// AuthenticationFields returns what may be set, by the server's own description.
func (c *Client) AuthenticationFields(ctx context.Context) (map[string]Field, error) {
	return c.fieldsOf(ctx, "/api/v1"+authenticationPath, "patch")
}

// A Lowering is what waits for a second administrator to agree: that recovery.two_person be
// switched off.
type Lowering struct {
	ID        string    `json:"id"`
	CreatedBy Acted     `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

const loweringPath = authenticationPath + "/lowering"

// Lowering returns what waits.
func (c *Client) Lowering(ctx context.Context) (*Lowering, error) {
	return fetch[Lowering](ctx, c, http.MethodGet, loweringPath, request{}, nil)
}

// AskLowering asks for one, which another administrator has to approve.
func (c *Client) AskLowering(ctx context.Context) (*Lowering, error) {
	return fetch[Lowering](ctx, c, http.MethodPost, loweringPath, request{}, nil)
}

// ApproveLowering agrees with the one that has this ID, and returns what holds now.
func (c *Client) ApproveLowering(ctx context.Context, id string) (*Row, error) {
	return fetch(ctx, c, http.MethodPost, loweringPath+"/approve", request{body: map[string]string{"lowering": id}}, rowETag)
}

// CancelLowering takes back what waits.
func (c *Client) CancelLowering(ctx context.Context) error { return c.remove(ctx, loweringPath) }
