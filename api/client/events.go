package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// An Event is something that happened.
type Event struct {
	ID        string            `json:"id"`
	Time      time.Time         `json:"time"`
	Type      string            `json:"type"`
	Actor     Party             `json:"actor"`
	Target    Party             `json:"target"`
	RequestID string            `json:"request_id"`
	IP        string            `json:"ip"`
	UserAgent string            `json:"user_agent"`
	Data      map[string]string `json:"data"`
	Changes   []Change          `json:"changes"`
	Cursor    string            `json:"cursor"` // its place in the list, for List.After
}

// A Party is who did something or to what it was done.
type Party struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"` // a target as it was called then, a user who acted as they are now

	SessionID    string `json:"session_id"`
	Impersonator string `json:"impersonator_id"` // of an actor: the administrator who acted in their name
}

// A Change is one field before and after.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// An EventFilter narrows a list of events. Zero values match everything.
type EventFilter struct {
	List
	Type        string    // user.created, or a prefix as user.*
	User        string    // ID: what they did, and what was done to them or is about them
	Actor       string    // ID
	Target      string    // ID
	Request     string    // ID of a request, or of an error page
	Since       time.Time // what happened then or later
	OldestFirst bool
}

// Events returns one page of the tenant's events, newest first unless asked otherwise.
func (c *Client) Events(ctx context.Context, f EventFilter) (*Page[Event], error) {
	q := f.query()
	for name, v := range map[string]string{"type": f.Type, "user": f.User, "actor": f.Actor, "target": f.Target, "request": f.Request} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.OldestFirst {
		q.Set("order", "asc")
	}
	return list[Event](ctx, c, "/events", q)
}

// Event returns one event.
func (c *Client) Event(ctx context.Context, id string) (*Event, error) {
	return fetch[Event](ctx, c, http.MethodGet, join("events", id), request{}, nil)
}

// A Verification is the outcome of checking the chain of all events.
type Verification struct {
	Intact  bool   `json:"intact"`
	Entries uint64 `json:"entries"`
	Head    string `json:"head"`  // hash over every event: note it down, compare it later
	Fault   string `json:"fault"` // where the chain breaks
	NodeID  string `json:"node_id"`
}

// VerifyAudit recomputes the chain of events on the answering node. A broken chain is
// not an error but Intact = false.
func (c *Client) VerifyAudit(ctx context.Context) (*Verification, error) {
	return c.VerifyAuditSince(ctx, "")
}

// VerifyAuditSince is VerifyAudit, and proves that the events still begin with those
// that anchor, the Head of an earlier Verification, stood for.
func (c *Client) VerifyAuditSince(ctx context.Context, anchor string) (*Verification, error) {
	in := request{house: true}
	if anchor != "" {
		in.query = url.Values{"anchor": {anchor}}
	}
	return fetch[Verification](ctx, c, http.MethodGet, "/audit/verify", in, nil)
}
