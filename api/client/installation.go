package client

import (
	"context"
	"net/http"
	"time"
)

// A Tenant is a world of its own: users, applications, keys and an issuer.
type Tenant struct {
	ID        string    `json:"id"`
	Slug      string    `json:"slug"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	ETag string `json:"-"`
}

// TenantFields are what a caller sets of a tenant. A nil field is left as it is.
type TenantFields struct {
	Slug *string `json:"slug,omitempty"` // only with Create
	Name *string `json:"name,omitempty"`
}

// Tenants are the tenants of the installation.
type Tenants struct{ c *Client }

func tenantETag(t *Tenant) *string { return &t.ETag }

// List returns one page of tenants.
func (t Tenants) List(ctx context.Context, l List) (*Page[Tenant], error) {
	return listOf[Tenant](ctx, t.c, "/tenants", request{query: l.query(), house: true})
}

// Get returns one tenant.
func (t Tenants) Get(ctx context.Context, id string) (*Tenant, error) {
	return fetch(ctx, t.c, http.MethodGet, join("tenants", id), request{house: true}, tenantETag)
}

// Create makes a tenant.
func (t Tenants) Create(ctx context.Context, f TenantFields) (*Tenant, error) {
	return fetch(ctx, t.c, http.MethodPost, "/tenants", request{body: f, house: true}, tenantETag)
}

// Update changes what f mentions; etag, unless empty, is what the tenant must still have.
func (t Tenants) Update(ctx context.Context, id string, f TenantFields, etag string) (*Tenant, error) {
	return fetch(ctx, t.c, http.MethodPatch, join("tenants", id), request{body: f, ifMatch: etag, house: true}, tenantETag)
}

// Delete removes a tenant.
func (t Tenants) Delete(ctx context.Context, id string) error {
	return t.c.removeWith(ctx, join("tenants", id), request{house: true})
}

// A SetupLink lets one person make the first admin account.
type SetupLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	Replaced  bool      `json:"replaced"` // an earlier link that still worked
}

// SetupLink makes a new one-time setup link.
func (c *Client) SetupLink(ctx context.Context) (*SetupLink, error) {
	return fetch[SetupLink](ctx, c, http.MethodPost, "/setup-link", request{house: true}, nil)
}

// A Key is a signing key of the tenant, without its private part.
type Key struct {
	Kid       string     `json:"kid"`
	Alg       string     `json:"alg"`
	State     string     `json:"state"` // published, active, retiring or gone
	CreatedAt time.Time  `json:"created_at"`
	Since     time.Time  `json:"since"`   // in this state
	NextAt    *time.Time `json:"next_at"` // when it may leave it; nil: not known
}

// Keys returns the signing keys of the tenant.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	p, err := list[Key](ctx, c, "/keys", nil)
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}

// RotateKeys begins a rotation now, in the normal phases. An empty alg means every
// algorithm in use. With emergency the old key is gone at once and everything it signed is void.
func (c *Client) RotateKeys(ctx context.Context, alg string, emergency bool) ([]Key, error) {
	path := "/keys/rotate"
	if emergency {
		path = "/keys/rotate-emergency"
	}
	body := map[string]string{}
	if alg != "" {
		body["alg"] = alg
	}
	p, err := fetch[Page[Key]](ctx, c, http.MethodPost, path, request{body: body}, nil)
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}
