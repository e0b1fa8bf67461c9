package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// A Row is a resource as the server describes it, by the names on the wire.
type Row struct {
	Fields map[string]any

	ETag string
}

// MarshalJSON writes the fields.
func (r Row) MarshalJSON() ([]byte, error) { return json.Marshal(r.Fields) }

// UnmarshalJSON reads the fields.
func (r *Row) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &r.Fields) }

// Text returns a field that is a string, and "" for any other.
func (r *Row) Text(name string) string {
	s, _ := r.Fields[name].(string)
	return s
}

func rowETag(r *Row) *string { return &r.ETag }

// Rows are the resources of one kind of which this client knows no more than the server says.
type Rows struct {
	c    *Client
	path string // under the API's version, without a slash before it
}

// List returns one page.
func (r Rows) List(ctx context.Context, l List) (*Page[Row], error) {
	return list[Row](ctx, r.c, "/"+r.path, l.query())
}

// Get returns one.
func (r Rows) Get(ctx context.Context, key string) (*Row, error) {
	return fetch(ctx, r.c, http.MethodGet, "/"+r.path+join(key), request{}, rowETag)
}

// Create makes one.
func (r Rows) Create(ctx context.Context, fields map[string]any) (*Row, error) {
	return fetch(ctx, r.c, http.MethodPost, "/"+r.path, request{body: fields}, rowETag)
}

// Update changes what fields mention; etag, unless empty, is what it must still have.
func (r Rows) Update(ctx context.Context, key string, fields map[string]any, etag string) (*Row, error) {
	return fetch(ctx, r.c, http.MethodPatch, "/"+r.path+join(key), request{body: fields, ifMatch: etag}, rowETag)
}

// Delete removes one.
func (r Rows) Delete(ctx context.Context, key string) error {
	return r.c.remove(ctx, "/"+r.path+join(key))
}

// Fields returns what may be set of a new one, by the server's own description.
func (r Rows) Fields(ctx context.Context) (map[string]Field, error) {
	return r.c.fieldsOf(ctx, "/api/v1/"+r.path, "post")
}

const policyPath = "/registration/policy"

// RegistrationPolicy returns what applications may register by themselves.
func (c *Client) RegistrationPolicy(ctx context.Context) (*Row, error) {
	return fetch(ctx, c, http.MethodGet, policyPath, request{}, rowETag)
}

// SetRegistrationPolicy replaces it as a whole.
func (c *Client) SetRegistrationPolicy(ctx context.Context, fields map[string]any) (*Row, error) {
	return fetch(ctx, c, http.MethodPut, policyPath, request{body: fields}, rowETag)
}

// RegistrationPolicyFields returns what may be set, by the server's own description.
func (c *Client) RegistrationPolicyFields(ctx context.Context) (map[string]Field, error) {
	return c.fieldsOf(ctx, "/api/v1"+policyPath, "put")
}
