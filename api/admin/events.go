package admin

import (
	"errors"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

func (a *API) events() []route {
	return []route{
		{Method: "GET", Path: "/events", Op: "listEvents", Summary: "List what happened in the tenant, newest first. With a filter a page may be short and still have a next one.", Do: handle(a.listEvents)},
		{Method: "GET", Path: "/audit/verify", Needs: ofInstallation, Op: "verifyAudit", Summary: "Recompute the chain of all events of all tenants on this node.", Do: handle(a.verifyAudit)},
	}
}

type party struct {
	Kind      string `json:"kind" doc:"user, application, operator, system, group, session, key …"`
	ID        string `json:"id,omitempty" doc:"ID, if it has one."`
	Name      string `json:"name,omitempty" doc:"As it was called then."`
	SessionID string `json:"session_id,omitempty" doc:"The session in which the actor acted."`

	Impersonator string `json:"impersonator_id,omitempty" doc:"The administrator who acted in the actor's name."`
}

type fieldChange struct {
	Field  string `json:"field" doc:"What changed."`
	Before string `json:"before,omitempty" doc:"Its value before."`
	After  string `json:"after,omitempty" doc:"Its value after."`
}

type happening struct {
	ID        string            `json:"id" doc:"evt_…"`
	Time      time.Time         `json:"time" doc:"When it happened."`
	Type      string            `json:"type" doc:"Noun and past participle: user.created."`
	Actor     party             `json:"actor" doc:"Who did it."`
	Target    party             `json:"target" doc:"To what it was done."`
	RequestID string            `json:"request_id,omitempty" doc:"The request that did it."`
	IP        string            `json:"ip,omitempty" doc:"Where the request came from."`
	UserAgent string            `json:"user_agent,omitempty" doc:"By which program it was sent."`
	Data      map[string]string `json:"data,omitempty" doc:"What else there is to say."`
	Changes   []fieldChange     `json:"changes,omitempty" doc:"Fields before and after."`
	Cursor    string            `json:"cursor" doc:"Its place in the list, for after."`
}

func (happening) SchemaName() string { return "Event" }

func showEvent(e *event.Event) happening {
	out := happening{
		ID: e.ID, Time: e.Time, Type: string(e.Type), Data: e.Data, Cursor: e.Cursor,
		Actor:     party{Kind: string(e.Actor.Kind), ID: e.Actor.ID, SessionID: e.Actor.SessionID, Impersonator: e.Actor.Impersonator},
		Target:    party{Kind: e.Target.Kind, ID: e.Target.ID, Name: e.Target.Name},
		RequestID: e.Request.ID, IP: e.Request.IP, UserAgent: e.Request.UserAgent,
	}
	for _, f := range e.Changes {
		out.Changes = append(out.Changes, fieldChange{f.Field, f.Before, f.After})
	}
	return out
}

type listEventsIn struct {
	pageIn
	Type    string `query:"type" max:"64" doc:"Only this type; user.* is every type that begins so."`
	Actor   string `query:"actor" max:"64" doc:"Only what the actor with this ID did."`
	Target  string `query:"target" max:"64" doc:"Only what was done to the thing with this ID."`
	Request string `query:"request" max:"64" doc:"Only what happened in the request with this ID, or on the error page that showed it."`
	Order   string `query:"order" enum:"asc|desc" default:"desc" doc:"asc: oldest first."`
}

func (a *API) listEvents(c *call, in *listEventsIn) (*page[happening], error) {
	prefix, wild := strings.CutSuffix(in.Type, "*")
	q := event.Query{
		After: in.After, Limit: in.Count(), Oldest: in.Order == "asc",
		Type: prefix, Actor: in.Actor, Target: in.Target, Request: in.Request,
	}
	var rows []event.Event
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = event.List(tx, c.Tenant.ID, q)
		return err
	})
	if !wild && in.Type != "" { // a prefix there, the whole type here
		exact := rows[:0]
		for _, e := range rows {
			if string(e.Type) == in.Type {
				exact = append(exact, e)
			}
		}
		rows = exact
	}
	return show(rows, next, showEvent), err
}

type verifyIn struct {
	Anchor string `query:"anchor" max:"160" doc:"The head of an earlier verification: prove that the events up to it are still the same."`
}

type verification struct {
	Intact  bool   `json:"intact" doc:"Whether every event continues the chain."`
	Entries uint64 `json:"entries" doc:"Events that were checked."`
	Head    string `json:"head" doc:"Stands for every event so far: keep it elsewhere, give it as anchor later."`
	Fault   string `json:"fault,omitempty" doc:"Where the chain breaks."`
	NodeID  string `json:"node_id" doc:"The node that checked its own copy."`
}

func (a *API) verifyAudit(c *call, in *verifyIn) (*verification, error) {
	var noted event.Anchor
	if in.Anchor != "" {
		var err error
		if noted, err = event.ParseAnchor(in.Anchor); err != nil {
			return nil, identity.Invalid("anchor", "is not a head of an earlier verification")
		}
	}
	head, err := event.VerifyAgainst(c.Ctx, a.cfg.DB, noted)
	out := &verification{Intact: err == nil, Entries: head.Count, Head: head.String(), NodeID: a.cfg.Cluster.Status(c.Ctx).NodeID}
	if errors.Is(err, fsm.ErrCorrupt) {
		out.Fault = err.Error() // names positions, and nothing of the events
		return out, nil
	}
	return out, err
}
