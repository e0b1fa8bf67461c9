package admin

import (
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

func (a *API) sessions() []route {
	return []route{
		{Method: "GET", Path: "/sessions", Op: "listSessions", Summary: "List the sessions of the tenant, newest first.", Do: handle(a.listSessions)},
		{Method: "GET", Path: "/sessions/{id}", Op: "getSession", Summary: "Get a session.", Do: handle(a.getSession)},
		{Method: "DELETE", Path: "/sessions/{id}", Op: "endSession", Summary: "Sign one browser out.", Do: handle(a.endSession)},
		{Method: "GET", Path: "/users/{id}/sessions", Op: "listUserSessions", Summary: "List the sessions of a user, newest first.", Do: handle(a.listUserSessions)},
		{Method: "DELETE", Path: "/users/{id}/sessions", Op: "endUserSessions", Summary: "Sign a user out everywhere.", Do: handle(a.endUserSessions)},
	}
}

type signedIn struct {
	ID        string    `json:"id" doc:"ses_…"`
	UserID    string    `json:"user_id" doc:"Whose it is."`
	IP        string    `json:"ip" doc:"Address at sign-in."`
	UserAgent string    `json:"user_agent" doc:"Browser at sign-in."`
	AMR       []string  `json:"amr" doc:"How the person proved who they are (RFC 8176)."`
	AuthTime  time.Time `json:"auth_time" doc:"When the person last proved it."`
	CreatedAt time.Time `json:"created_at" doc:"When it began."`
	LastSeen  time.Time `json:"last_seen_at" doc:"When it was last used, to about a minute."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends in any case."`

	Remembered   bool   `json:"remembered" doc:"Whether the person asked to stay signed in, so that idleness does not end it."`
	Impersonator string `json:"impersonator_id,omitempty" doc:"The administrator who acts in it as the user."`
}

func (signedIn) SchemaName() string { return "Session" }

func showSession(s *session.Session) signedIn {
	out := signedIn{
		ID: s.ID, UserID: s.UserID, IP: s.IP, UserAgent: s.UserAgent, AMR: append([]string{}, s.AMR...),
		AuthTime: s.AuthTime, CreatedAt: s.Created, LastSeen: s.LastSeen, ExpiresAt: s.Expires,
		Remembered: s.Remembered, Impersonator: s.Impersonator(),
	}
	if out.LastSeen.IsZero() {
		out.LastSeen = s.Created
	}
	return out
}

func (a *API) listSessions(c *call, in *pageIn) (*page[signedIn], error) {
	var rows []session.Session
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = a.cfg.Sessions.ListAll(tx, c.Tenant.ID, in.After, in.Count())
		return err
	})
	return show(rows, next, showSession), err
}

func (a *API) getSession(c *call, in *byID) (*signedIn, error) {
	var out signedIn
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		s, err := a.cfg.Sessions.Live(tx, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		out = showSession(s)
		return nil
	})
	return &out, err
}

func (a *API) endSession(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, err := session.Get(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		return session.End(tx, c.Tenant.ID, in.ID)
	})
}

func (a *API) listUserSessions(c *call, in *byID) (*page[signedIn], error) {
	var rows []session.Session
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		var err error
		rows, err = a.cfg.Sessions.ListOf(tx, c.Tenant.ID, in.ID)
		return err
	})
	return show(rows, "", showSession), err
}

func (a *API) endUserSessions(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		_, err := session.EndAllOf(tx, c.Tenant.ID, in.ID)
		return err
	})
}
