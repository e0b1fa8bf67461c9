package client

import (
	"context"
	"net/http"
	"time"
)

// A Group is a named set of users.
type Group struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	MFAPolicy   string    `json:"mfa_policy"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`

	ETag string `json:"-"`
}

// GroupFields are what a caller sets of a group. A nil field is left as it is.
type GroupFields struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	MFAPolicy   *string `json:"mfa_policy,omitempty"`
}

// Groups are the groups of the tenant.
type Groups struct{ c *Client }

func groupETag(g *Group) *string { return &g.ETag }

// List returns one page of groups.
func (g Groups) List(ctx context.Context, l List) (*Page[Group], error) {
	return list[Group](ctx, g.c, "/groups", l.query())
}

// Get returns one group.
func (g Groups) Get(ctx context.Context, id string) (*Group, error) {
	return fetch(ctx, g.c, http.MethodGet, join("groups", id), request{}, groupETag)
}

// Create makes a group.
func (g Groups) Create(ctx context.Context, f GroupFields) (*Group, error) {
	return fetch(ctx, g.c, http.MethodPost, "/groups", request{body: f}, groupETag)
}

// Update changes what f mentions; etag, unless empty, is what the group must still have.
func (g Groups) Update(ctx context.Context, id string, f GroupFields, etag string) (*Group, error) {
	return fetch(ctx, g.c, http.MethodPatch, join("groups", id), request{body: f, ifMatch: etag}, groupETag)
}

// Delete removes a group; its members stay.
func (g Groups) Delete(ctx context.Context, id string) error {
	return g.c.remove(ctx, join("groups", id))
}

// Members returns one page of the users in a group.
func (g Groups) Members(ctx context.Context, id string, l List) (*Page[User], error) {
	return list[User](ctx, g.c, join("groups", id, "members"), l.query())
}

// AddMember puts a user in a group; one that is in it stays in it.
func (g Groups) AddMember(ctx context.Context, id, user string) error {
	_, err := g.c.call(ctx, http.MethodPut, join("groups", id, "members", user), request{}, nil)
	return err
}

// RemoveMember takes a user out of a group.
func (g Groups) RemoveMember(ctx context.Context, id, user string) error {
	return g.c.remove(ctx, join("groups", id, "members", user))
}
