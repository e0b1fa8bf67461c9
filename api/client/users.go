package client

import (
	"context"
	"net/http"
	"time"
)

// A User is a person.
type User struct {
	ID            string    `json:"id"`
	Username      string    `json:"username"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Name          string    `json:"name"`
	GivenName     string    `json:"given_name"`
	FamilyName    string    `json:"family_name"`
	Locale        string    `json:"locale"`
	Admin         bool      `json:"admin"`
	Disabled      bool      `json:"disabled"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	Groups        []string  `json:"groups,omitempty"` // names, of lists that were asked for them

	ETag string `json:"-"` // of the answer that it came in; lists have none
}

// UserFields are what a caller sets of a user. A nil field is left as it is.
type UserFields struct {
	Username      *string `json:"username,omitempty"`
	Email         *string `json:"email,omitempty"`
	EmailVerified *bool   `json:"email_verified,omitempty"`
	Name          *string `json:"name,omitempty"`
	GivenName     *string `json:"given_name,omitempty"`
	FamilyName    *string `json:"family_name,omitempty"`
	Locale        *string `json:"locale,omitempty"`
	Admin         *bool   `json:"admin,omitempty"`
	Disabled      *bool   `json:"disabled,omitempty"`
	Password      *string `json:"password,omitempty"` // only with Create
}

// A Token is an access token as it is listed: without its value.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes,omitempty"` // none: everything that its owner may do
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`      // nil: never
	LastUsedAt *time.Time `json:"last_used_at"`    // nil: not yet
	Token      string     `json:"token,omitempty"` // only in the answer that created it
}

// A Session is one signed-in browser.
type Session struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent"`
	AuthTime  time.Time `json:"auth_time"`
	CreatedAt time.Time `json:"created_at"`
	LastSeen  time.Time `json:"last_seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Users are the people of the tenant.
type Users struct{ c *Client }

func userETag(u *User) *string { return &u.ETag }

// List returns one page of users.
func (u Users) List(ctx context.Context, l List) (*Page[User], error) {
	return list[User](ctx, u.c, "/users", l.query())
}

// Find returns the user with that username, or an Error with status 404.
func (u Users) Find(ctx context.Context, username string) (*User, error) {
	return u.find(ctx, "username", username)
}

// FindByEmail returns the user with that address, or an Error with status 404.
func (u Users) FindByEmail(ctx context.Context, email string) (*User, error) {
	return u.find(ctx, "email", email)
}

func (u Users) find(ctx context.Context, by, value string) (*User, error) {
	q := List{Limit: 1}.query()
	q.Set(by, value)
	p, err := list[User](ctx, u.c, "/users", q)
	if err != nil {
		return nil, err
	}
	if len(p.Data) == 0 {
		return nil, &Error{Status: http.StatusNotFound, Problem: Problem{Title: "Not found", Detail: "no user has this " + by}}
	}
	return &p.Data[0], nil
}

// Get returns one user.
func (u Users) Get(ctx context.Context, id string) (*User, error) {
	return fetch(ctx, u.c, http.MethodGet, join("users", id), request{}, userETag)
}

// Create makes a user.
func (u Users) Create(ctx context.Context, f UserFields) (*User, error) {
	return fetch(ctx, u.c, http.MethodPost, "/users", request{body: f}, userETag)
}

// Update changes what f mentions; etag, unless empty, is what the user must still have.
func (u Users) Update(ctx context.Context, id string, f UserFields, etag string) (*User, error) {
	return fetch(ctx, u.c, http.MethodPatch, join("users", id), request{body: f, ifMatch: etag}, userETag)
}

// Delete removes a user, with sessions and tokens.
func (u Users) Delete(ctx context.Context, id string) error {
	return u.c.remove(ctx, join("users", id))
}

// SetPassword gives a user a new password, which ends the user's sessions.
func (u Users) SetPassword(ctx context.Context, id, password string) error {
	body := map[string]string{"password": password}
	_, err := u.c.call(ctx, http.MethodPut, join("users", id, "password"), request{body: body}, nil)
	return err
}

// SetTemporaryPassword is SetPassword with one that the user must replace at the next sign-in.
func (u Users) SetTemporaryPassword(ctx context.Context, id, password string) error {
	body := map[string]any{"password": password, "must_change": true}
	_, err := u.c.call(ctx, http.MethodPut, join("users", id, "password"), request{body: body}, nil)
	return err
}

// Groups returns one page of the groups that a user belongs to.
func (u Users) Groups(ctx context.Context, id string, l List) (*Page[Group], error) {
	return list[Group](ctx, u.c, join("users", id, "groups"), l.query())
}

// Sessions returns one page of a user's sessions.
func (u Users) Sessions(ctx context.Context, id string, l List) (*Page[Session], error) {
	return list[Session](ctx, u.c, join("users", id, "sessions"), l.query())
}

// EndSessions signs a user out everywhere.
func (u Users) EndSessions(ctx context.Context, id string) error {
	return u.c.remove(ctx, join("users", id, "sessions"))
}

// Tokens returns one page of a user's access tokens.
func (u Users) Tokens(ctx context.Context, id string, l List) (*Page[Token], error) {
	return list[Token](ctx, u.c, join("users", id, "tokens"), l.query())
}

// CreateToken makes an access token for a user; its value is in this answer only.
// A zero expires is as long as the node gives; without scopes it may do everything that the user may.
func (u Users) CreateToken(ctx context.Context, id, name string, expires time.Time, scopes ...string) (*Token, error) {
	body := map[string]any{"name": name}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	if !expires.IsZero() {
		body["expires_at"] = expires.UTC().Format(time.RFC3339)
	}
	return fetch[Token](ctx, u.c, http.MethodPost, join("users", id, "tokens"), request{body: body}, nil)
}

// DeleteToken ends an access token.
func (u Users) DeleteToken(ctx context.Context, id, token string) error {
	return u.c.remove(ctx, join("users", id, "tokens", token))
}

// Sessions returns one page of the sessions of the tenant.
func (c *Client) Sessions(ctx context.Context, l List) (*Page[Session], error) {
	return list[Session](ctx, c, "/sessions", l.query())
}

// EndSession signs one browser out.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.remove(ctx, join("sessions", id))
}
