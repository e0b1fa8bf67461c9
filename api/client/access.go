package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// An AccessRule lets a user, or the members of a group, use a restricted application.
type AccessRule struct {
	Kind string `json:"kind"` // user or group
	ID   string `json:"id"`
}

// Access returns who was granted access to a restricted application.
func (a Applications) Access(ctx context.Context, id string) ([]AccessRule, error) {
	p, err := list[AccessRule](ctx, a.c, join("applications", id, "access"), nil)
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}

// Grant lets a user or a group use a restricted application.
func (a Applications) Grant(ctx context.Context, id string, r AccessRule) error {
	body := map[string]string{r.Kind + "_id": r.ID}
	_, err := a.c.call(ctx, http.MethodPost, join("applications", id, "access", r.Kind+"s"), request{body: body}, nil)
	return err
}

// Revoke takes a grant back.
func (a Applications) Revoke(ctx context.Context, id string, r AccessRule) error {
	return a.c.remove(ctx, join("applications", id, "access", r.Kind+"s", r.ID))
}

// A Simulation is what the tokens of a user would say.
type Simulation struct {
	Type         string         `json:"type"`
	HasAccess    bool           `json:"has_access"`
	AccessClaims map[string]any `json:"access_claims"`
	IDClaims     map[string]any `json:"id_claims"`
	ScriptError  string         `json:"script_error,omitempty"`

	DeniedBecause  string         `json:"denied_because,omitempty"`
	UserinfoClaims map[string]any `json:"userinfo_claims"`
	GrantedScopes  []string       `json:"granted_scopes"`
	RefusedScopes  []string       `json:"refused_scopes"` // a real request with one of them would fail
	Sources        []ClaimSource  `json:"sources"`
	Mappings       []ClaimOutcome `json:"mappings"`

	More json.RawMessage `json:"-"` // the whole answer
}

// A ClaimSource tells where a claim of a simulation comes from.
type ClaimSource struct {
	Claim string `json:"claim"`
	In    string `json:"in"`              // access_token, id_token or userinfo
	From  string `json:"from"`            // protocol, scope, mapping or script
	Scope string `json:"scope,omitempty"` // that reveals it, or that the mapping requires
}

// A ClaimOutcome tells what a claim mapping came to.
type ClaimOutcome struct {
	Mapping int    `json:"mapping"` // place in claim_mappings, from 0
	Claim   string `json:"claim"`
	Outcome string `json:"outcome"` // claim, nothing, or why there is none
}

// Simulate says what tokens a user would get, without issuing any.
func (a Applications) Simulate(ctx context.Context, id, userID string, scopes []string) (*Simulation, error) {
	body := map[string]any{"user_id": userID, "scopes": scopes}
	var raw json.RawMessage
	if _, err := a.c.call(ctx, http.MethodPost, join("applications", id, "simulate"), request{body: body}, &raw); err != nil {
		return nil, err
	}
	s := &Simulation{More: raw}
	return s, json.Unmarshal(raw, s)
}

// A LogoutDelivery is a back-channel logout token on its way to an application.
type LogoutDelivery struct {
	ID          string     `json:"id"`
	UserID      string     `json:"user_id"`
	SessionID   string     `json:"session_id,omitempty"` // empty: all sessions of the user
	State       string     `json:"state"`                // pending, done or failed
	Attempts    int        `json:"attempts"`
	Status      string     `json:"status,omitempty"`
	AttemptedAt *time.Time `json:"attempted_at,omitempty"`
	NextAt      *time.Time `json:"next_at,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
}

// LogoutDeliveries returns one page of the logout tokens for an application, newest first.
func (a Applications) LogoutDeliveries(ctx context.Context, id string, l List) (*Page[LogoutDelivery], error) {
	return list[LogoutDelivery](ctx, a.c, join("applications", id, "logout-deliveries"), l.query())
}

// RetryLogoutDelivery has a logout token sent again, now.
func (a Applications) RetryLogoutDelivery(ctx context.Context, id, delivery string) (*LogoutDelivery, error) {
	return fetch[LogoutDelivery](ctx, a.c, http.MethodPost, join("applications", id, "logout-deliveries", delivery, "retry"), request{}, nil)
}

// A Field is what the server's description says of one field of a resource.
type Field struct {
	Type        string   `json:"type"` // string, boolean, integer, array or object
	Description string   `json:"description"`
	Enum        []string `json:"enum"`
}

// Fields returns what may be set of an application, by the server's own description.
func (a Applications) Fields(ctx context.Context) (map[string]Field, error) {
	return a.c.fieldsOf(ctx, "/api/v1/applications/{id}", "patch")
}
