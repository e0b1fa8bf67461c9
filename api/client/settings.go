package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// AuthenticationSettings are how people of the tenant sign in, by the names on the wire.
type AuthenticationSettings struct {
	Fields map[string]any

	ETag string
}

// MarshalJSON writes the fields.
func (s AuthenticationSettings) MarshalJSON() ([]byte, error) { return json.Marshal(s.Fields) }

// UnmarshalJSON reads the fields.
func (s *AuthenticationSettings) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.Fields) }

const authenticationPath = "/settings/authentication"

func settingsETag(s *AuthenticationSettings) *string { return &s.ETag }

// Authentication returns how people of the tenant sign in.
func (c *Client) Authentication(ctx context.Context) (*AuthenticationSettings, error) {
	return fetch(ctx, c, http.MethodGet, authenticationPath, request{}, settingsETag)
}

// SetAuthentication changes what fields mention; etag, unless empty, is what must still hold.
func (c *Client) SetAuthentication(ctx context.Context, fields map[string]any, etag string) (*AuthenticationSettings, error) {
	return fetch(ctx, c, http.MethodPatch, authenticationPath, request{body: fields, ifMatch: etag}, settingsETag)
}

// AuthenticationFields returns what may be set, by the server's own description.
func (c *Client) AuthenticationFields(ctx context.Context) (map[string]Field, error) {
	return c.fieldsOf(ctx, "/api/v1"+authenticationPath, "patch")
}
