package audit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/api/admin/shape"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

type party struct {
	Kind      string `json:"kind" doc:"user, application, operator, system, group, session, key …"`
	ID        string `json:"id,omitempty" doc:"ID, if it has one."`
	Name      string `json:"name,omitempty" doc:"What it is called: a target as it was then, a user who acted as they are now."`
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

type listIn struct {
	pageIn
	Type    string    `query:"type" max:"64" doc:"Only this type; user.* is every type that begins so."`
	User    string    `query:"user" max:"64" doc:"Only what the user with this ID did, in whose name it may have been, and what was done to them or is about them."`
	Actor   string    `query:"actor" max:"64" doc:"Only what the actor with this ID did."`
	Target  string    `query:"target" max:"64" doc:"Only what was done to the thing with this ID."`
	Request string    `query:"request" max:"128" doc:"Only what happened in the request with this ID, or on the error page that showed it."`
	Since   time.Time `query:"since" doc:"Only what happened then or later."`
	Order   string    `query:"order" enum:"asc|desc" default:"desc" doc:"asc: oldest first."`
}

func (a *api) list(c *call, in *listIn) (*page[happening], error) {
	prefix, wild := strings.CutSuffix(in.Type, "*")
	if err := known(prefix, wild); err != nil {
		return nil, err
	}
	q := event.Query{
		After: in.After, Limit: in.Count(), Oldest: in.Order == "asc", Since: in.Since,
		Type: prefix, User: in.User, Actor: in.Actor, Target: in.Target, Request: in.Request,
	}
	var out *page[happening]
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) error {
		rows, next, err := event.List(tx, c.Tenant.ID, q)
		if err != nil {
			return err
		}
		if !wild && in.Type != "" { // a prefix there, the whole type here
			rows = slices.DeleteFunc(rows, func(e event.Event) bool { return string(e.Type) != in.Type })
		}
		out = dispatch.Show(rows, next, showEvent)
		return named(tx, c.Tenant.ID, out.Data)
	})
	return out, err
}

// known refuses a type that no event has: an empty list would say that nothing of it happened.
func known(name string, wild bool) error {
	if _, ok := event.Catalogue[event.Type(name)]; ok || name == "" {
		return nil
	}
	var types, nouns, alike []string
	noun, _, _ := strings.Cut(name, ".")
	for _, t := range slices.Sorted(maps.Keys(event.Catalogue)) {
		if wild && strings.HasPrefix(string(t), name) {
			return nil
		}
		n, _, _ := strings.Cut(string(t), ".")
		types, nouns = append(types, string(t)), append(nouns, n+".*")
		if n == noun {
			alike = append(alike, string(t))
		}
	}
	hint := shape.DidYouMean(name, types)
	switch {
	case hint != "":
	case len(alike) > 0:
		hint = "; there are " + strings.Join(alike, ", ")
	default:
		hint = shape.DidYouMean(noun+".*", nouns)
	}
	return identity.Invalid("type", fmt.Sprintf("%q is no type of event, nor what one begins with%s", identity.Printable(name, 64), hint))
}

func (a *api) get(c *call, in *byID) (*happening, error) {
	out := make([]happening, 1)
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		e, err := event.Get(tx, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		out[0] = showEvent(e)
		return named(tx, c.Tenant.ID, out)
	})
	return &out[0], err
}

// named says what the users of the tenant who acted are called now.
func named(tx *fsm.Tx, tenant string, rows []happening) error {
	known := map[string]string{}
	for i := range rows {
		by := &rows[i].Actor
		if by.Kind != string(identity.ActorUser) {
			continue
		}
		name, ok := known[by.ID]
		if !ok {
			switch u, _, err := directory.GetUser(tx, tenant, by.ID); {
			case err == nil:
				name = u.Username
			case !errors.Is(err, fsm.ErrNotFound): // deleted, or of another tenant
				return err
			}
			known[by.ID] = name
		}
		by.Name = name
	}
	return nil
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

func (a *api) verify(c *call, in *verifyIn) (*verification, error) {
	var noted event.Anchor
	if in.Anchor != "" {
		var err error
		if noted, err = event.ParseAnchor(in.Anchor); err != nil {
			return nil, identity.Invalid("anchor", "is not a head of an earlier verification")
		}
	}
	head, err := event.VerifyAgainst(c.Ctx, a.cfg.DB, noted)
	out := &verification{Intact: err == nil, Entries: head.Count, Head: head.String(), NodeID: a.cfg.Node(c.Ctx)}
	if errors.Is(err, fsm.ErrCorrupt) {
		out.Fault = err.Error() // names positions, and nothing of the events
		return out, nil
	}
	return out, err
}
