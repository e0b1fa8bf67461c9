package client

import (
	"context"
	"net/http"
	"time"
)

// An Invitation lets a person make themselves an account.
type Invitation struct {
	ID        string     `json:"id"`
	URL       string     `json:"url,omitempty"` // only in the answer that made it
	Email     string     `json:"email"`
	Username  string     `json:"username"`
	Name      string     `json:"name"`
	Admin     bool       `json:"admin"`
	Groups    []string   `json:"groups"` // IDs
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	MailedAt  *time.Time `json:"mailed_at,omitempty"` // last; nil: it is not mailed
}

// InvitationFields are what a caller sets of an invitation.
type InvitationFields struct {
	Email     string   `json:"email"`
	Username  string   `json:"username,omitempty"`
	Name      string   `json:"name,omitempty"`
	Admin     bool     `json:"admin,omitempty"`
	Groups    []string `json:"groups,omitempty"`     // IDs
	ExpiresIn int      `json:"expires_in,omitempty"` // seconds
	Mail      bool     `json:"mail,omitempty"`       // the link is mailed, and shown to nobody
}

// Invite makes an invitation; its link is in this answer only, unless it is mailed.
func (c *Client) Invite(ctx context.Context, f InvitationFields) (*Invitation, error) {
	return fetch[Invitation](ctx, c, http.MethodPost, "/invitations", request{body: f}, nil)
}

// SendInvitation has an invitation mailed again, with a new link.
func (c *Client) SendInvitation(ctx context.Context, id string) (*Invitation, error) {
	return fetch[Invitation](ctx, c, http.MethodPost, join("invitations", id)+"/send", request{}, nil)
}

// Invitations returns one page of the invitations that wait.
func (c *Client) Invitations(ctx context.Context, l List) (*Page[Invitation], error) {
	return list[Invitation](ctx, c, "/invitations", l.query())
}

// Uninvite takes an invitation back.
func (c *Client) Uninvite(ctx context.Context, id string) error {
	return c.remove(ctx, join("invitations", id))
}

// An Impersonation is a link by which an administrator acts as a user.
type Impersonation struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
	Minutes   int       `json:"minutes"`
}

// Impersonate gets a link by which the token's user can act as another, for so many minutes; 0:
// as many as the server thinks fit.
func (u Users) Impersonate(ctx context.Context, id, reason string, minutes int) (*Impersonation, error) {
	body := map[string]any{"reason": reason, "minutes": minutes}
	return fetch[Impersonation](ctx, u.c, http.MethodPost, join("users", id, "impersonation"), request{body: body}, nil)
}

// MaxImport is how many users one import takes, and MaxJoined in how many groups it puts them, all told.
const (
	MaxImport = 25
	MaxJoined = 100
)

// An Import is users to be created, each by the names of its fields on the wire.
type Import struct {
	Users        []map[string]any `json:"users"`
	DryRun       bool             `json:"dry_run,omitempty"`
	SkipExisting bool             `json:"skip_existing,omitempty"`
}

// An Imported says what became of the users of an import, in their order.
type Imported struct {
	Created int           `json:"created"`
	Skipped int           `json:"skipped"`
	Refused int           `json:"refused"`
	Rows    []ImportedRow `json:"rows"`
}

// An ImportedRow is what became of one user.
type ImportedRow struct {
	Outcome string   `json:"outcome"` // created, skipped or refused
	ID      string   `json:"id,omitempty"`
	Faults  []string `json:"faults,omitempty"`
	Exists  bool     `json:"exists,omitempty"` // of one that was refused: SkipExisting would pass over it
}

// Import creates users, at most MaxImport. What is refused keeps none of the others out.
func (u Users) Import(ctx context.Context, i Import) (*Imported, error) {
	return fetch[Imported](ctx, u.c, http.MethodPost, "/users/import", request{body: i}, nil)
}

// ImportFields returns what an imported user may have, by the server's own description.
func (u Users) ImportFields(ctx context.Context) (map[string]Field, error) {
	return u.c.itemFieldsOf(ctx, "/api/v1/users/import", "post", "users")
}

// Fields returns what may be set of a user, by the server's own description.
func (u Users) Fields(ctx context.Context) (map[string]Field, error) {
	return u.c.fieldsOf(ctx, "/api/v1/users/{id}", "patch")
}

// Search returns one page of the users whose username or address begins so, or words of whose name do.
// It may be short, or empty, and not be the last.
func (u Users) Search(ctx context.Context, beginning string, l List) (*Page[User], error) {
	q := l.query()
	q.Set("search", beginning)
	return list[User](ctx, u.c, "/users", q)
}

// Exported returns one page of all users with the names of their groups.
func (u Users) Exported(ctx context.Context, l List) (*Page[User], error) {
	q := l.query()
	q.Set("groups", "true")
	return list[User](ctx, u.c, "/users", q)
}

// Set changes fields of a user by their names on the wire; etag, unless empty, is what the user
// must still have.
func (u Users) Set(ctx context.Context, id string, fields map[string]any, etag string) (*User, error) {
	return fetch(ctx, u.c, http.MethodPatch, join("users", id), request{body: fields, ifMatch: etag}, userETag)
}

// Make makes a user of fields by their names on the wire.
func (u Users) Make(ctx context.Context, fields map[string]any) (*User, error) {
	return fetch(ctx, u.c, http.MethodPost, "/users", request{body: fields}, userETag)
}

// A PolicyQuestion is what a sign-in is supposed to be.
type PolicyQuestion struct {
	UserID      string        `json:"user_id"`
	Application string        `json:"application,omitempty"` // ID
	Factors     []GivenFactor `json:"factors,omitempty"`
	Trusted     bool          `json:"trusted_device,omitempty"`
	ACR         string        `json:"acr,omitempty"`
	MaxAge      *int          `json:"max_age,omitempty"` // seconds; nil: any
	Skipped     *int          `json:"skipped,omitempty"` // how often they put enrolment off; nil: as they have
}

// A GivenFactor is a proof that is supposed.
type GivenFactor struct {
	Method   string `json:"method"`
	Age      int    `json:"age_seconds,omitempty"`
	Verified bool   `json:"user_verified,omitempty"`
	Bound    bool   `json:"device_bound,omitempty"`
	Attested bool   `json:"attested,omitempty"`
}

// A PolicyDecision is what would follow.
type PolicyDecision struct {
	Outcome  string         `json:"outcome"` // allow, step_up, enrol or deny
	Methods  []string       `json:"methods"`
	Level    int            `json:"level"`
	Optional bool           `json:"optional"`
	Left     int            `json:"left"`
	Why      string         `json:"why,omitempty"`
	Reasons  []PolicyReason `json:"reasons"`
}

// A PolicyReason is what one rule adds to a decision.
type PolicyReason struct {
	Rule string `json:"rule"`
	Name string `json:"name"`
	Asks string `json:"asks"`
	Met  bool   `json:"met"`
	Why  string `json:"why,omitempty"` // of a level that cannot be reached
}

// EvaluatePolicy says what a sign-in would need. It changes nothing.
func (c *Client) EvaluatePolicy(ctx context.Context, q PolicyQuestion) (*PolicyDecision, error) {
	return fetch[PolicyDecision](ctx, c, http.MethodPost, "/policies/evaluate", request{body: q}, nil)
}
