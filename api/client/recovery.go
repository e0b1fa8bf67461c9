package client

import (
	"context"
	"net/http"
	"time"
)

// A Recovery is an account that somebody is getting back into.
type Recovery struct {
	ID         string     `json:"id"`
	UserID     string     `json:"user_id"`
	Kind       string     `json:"kind"`          // person or link
	State      string     `json:"state"`         // delayed, unapproved or open
	URL        string     `json:"url,omitempty"` // only in the answer that made it
	CreatedBy  Acted      `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ReadyAt    time.Time  `json:"ready_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	First      bool       `json:"first"` // of a link: nobody was in the account when it was made
	ApprovedBy *Acted     `json:"approved_by,omitempty"`
	ApprovedAt *time.Time `json:"approved_at,omitempty"`
}

// Acted is who did something.
type Acted struct {
	Kind string `json:"kind"`         // user or operator
	ID   string `json:"id,omitempty"` // of a user
}

// Recoveries returns one page of the recoveries that wait.
func (c *Client) Recoveries(ctx context.Context, l List) (*Page[Recovery], error) {
	return list[Recovery](ctx, c, "/recoveries", l.query())
}

// Recover makes a link by which a user gets back in, which works for so many seconds (0: a
// day); it is in this answer only.
func (u Users) Recover(ctx context.Context, id string, expiresIn int) (*Recovery, error) {
	return fetch[Recovery](ctx, u.c, http.MethodPost, join("users", id, "recovery"), request{body: map[string]int{"expires_in": expiresIn}}, nil)
}

// ApproveRecovery approves the link with the ID recovery that another administrator made.
func (u Users) ApproveRecovery(ctx context.Context, id, recovery string) (*Recovery, error) {
	return fetch[Recovery](ctx, u.c, http.MethodPost, join("users", id, "recovery", "approve"), request{body: map[string]string{"recovery": recovery}}, nil)
}

// CancelRecovery stops the recovery of a user that waits.
func (u Users) CancelRecovery(ctx context.Context, id string) error {
	return u.c.remove(ctx, join("users", id, "recovery"))
}
