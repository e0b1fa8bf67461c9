package client

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// An Application is what people sign in to.
type Application struct {
	ID           string    `json:"id"`
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"client_secret"` // only in the answer that made it
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
	ApplicationFields

	ETag string `json:"-"`
}

// ApplicationFields are what a caller sets of an application. A nil field is left as it is.
type ApplicationFields struct {
	Name                 *string  `json:"name,omitempty"`
	FriendlyName         *string  `json:"friendly_name,omitempty"`
	Description          *string  `json:"description,omitempty"`
	Type                 *string  `json:"type,omitempty"` // oidc or spa
	RedirectURIs         []string `json:"redirect_uris,omitempty"`
	PostLogoutURIs       []string `json:"post_logout_uris,omitempty"`
	AllowedScopes        []string `json:"allowed_scopes,omitempty"`
	GrantTypes           []string `json:"grant_types,omitempty"`
	IsPublic             *bool    `json:"is_public,omitempty"`
	RequirePKCE          *bool    `json:"require_pkce,omitempty"`
	TokenExpiry          *int     `json:"token_expiry,omitempty"` // seconds
	AccessRestricted     *bool    `json:"access_restricted,omitempty"`
	ShowInDashboard      *bool    `json:"show_in_dashboard,omitempty"`
	LaunchURL            *string  `json:"launch_url,omitempty"`
	AppGroup             *string  `json:"app_group,omitempty"`
	IconURL              *string  `json:"icon_url,omitempty"`
	MFAPolicy            *string  `json:"mfa_policy,omitempty"`
	BackchannelLogoutURI *string  `json:"backchannel_logout_uri,omitempty"`

	BackchannelLogoutSession  *bool   `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI     *string `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelLogoutSession *bool   `json:"frontchannel_logout_session_required,omitempty"`

	// More are fields that have no name here, by their names on the wire.
	More map[string]any `json:"-"`
}

// MarshalJSON writes the fields that are set.
func (f ApplicationFields) MarshalJSON() ([]byte, error) {
	type plain ApplicationFields
	body, err := json.Marshal(plain(f))
	if err != nil || len(f.More) == 0 {
		return body, err
	}
	all := map[string]any{}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	maps.Copy(all, f.More)
	return json.Marshal(all)
}

// MarshalJSON writes an application as the server described it.
func (a Application) MarshalJSON() ([]byte, error) {
	all := map[string]any{"id": a.ID, "client_id": a.ClientID, "created_at": a.CreatedAt, "updated_at": a.UpdatedAt}
	maps.Copy(all, a.More)
	return json.Marshal(all)
}

// UnmarshalJSON keeps everything that the server says of an application: what has no name here is in More.
func (a *Application) UnmarshalJSON(b []byte) error {
	type plain Application
	if err := json.Unmarshal(b, (*plain)(a)); err != nil {
		return err
	}
	a.More = nil
	return json.Unmarshal(b, &a.More)
}

// Applications are the applications of the tenant.
type Applications struct{ c *Client }

func applicationETag(a *Application) *string { return &a.ETag }

// List returns one page of applications.
func (a Applications) List(ctx context.Context, l List) (*Page[Application], error) {
	return list[Application](ctx, a.c, "/applications", l.query())
}

// Get returns one application.
func (a Applications) Get(ctx context.Context, id string) (*Application, error) {
	return fetch(ctx, a.c, http.MethodGet, join("applications", id), request{}, applicationETag)
}

// Create makes an application; the answer has the client secret, once.
func (a Applications) Create(ctx context.Context, f ApplicationFields) (*Application, error) {
	return fetch(ctx, a.c, http.MethodPost, "/applications", request{body: f}, applicationETag)
}

// Update changes what f mentions; etag, unless empty, is what the application must still have.
func (a Applications) Update(ctx context.Context, id string, f ApplicationFields, etag string) (*Application, error) {
	return fetch(ctx, a.c, http.MethodPatch, join("applications", id), request{body: f, ifMatch: etag}, applicationETag)
}

// Delete removes an application and what was granted through it.
func (a Applications) Delete(ctx context.Context, id string) error {
	return a.c.remove(ctx, join("applications", id))
}

// RegenerateSecret replaces the client secret; with keepPrevious the old one goes on working beside it.
func (a Applications) RegenerateSecret(ctx context.Context, id string, keepPrevious bool) (*Application, error) {
	body := map[string]bool{"keep_previous": keepPrevious}
	return fetch(ctx, a.c, http.MethodPost, join("applications", id, "regenerate-secret"), request{body: body}, applicationETag)
}
