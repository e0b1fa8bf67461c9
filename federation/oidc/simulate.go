package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/statement"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// A Simulator says what tokens would say, with the code that makes them. It signs
// nothing, writes nothing, and no session or family is made.
type Simulator struct{ p *Provider }

// NewSimulator returns a simulator. What fails in it is neither logged nor counted.
func NewSimulator(db *fsm.DB) *Simulator {
	quiet := slog.New(slog.DiscardHandler)
	return &Simulator{&Provider{db: db, log: quiet, claims: claim.New(quiet, nil)}}
}

// A Simulation is what a user's tokens would say to an application.
type Simulation struct {
	App      *federation.Application
	Denied   string   // why the user has no access; empty: they have
	Scopes   []string // that would be granted
	Refused  []string // that the application may not ask for: the real request would fail
	Access   json.RawMessage
	ID       json.RawMessage // null without the scope openid
	Userinfo json.RawMessage // likewise
	Sources  []Source
	Mappings []claim.Outcome // also of those that yield nothing
	Fault    string          // why there would be no tokens at all: a required claim or a script failed
}

// A Source tells where one claim comes from.
type Source struct {
	Claim string
	In    string // of claim.Destinations
	From  string // protocol, scope or mapping
	Scope string // that reveals it; with mapping: that it requires
	Place int    // of the mapping; -1: none, or a script
}

// Simulate reports fsm.ErrNotFound if there is no such application or user in the tenant of ctx.
func (s *Simulator) Simulate(ctx context.Context, application, userID string, scopes []string) (*Simulation, error) {
	t := identity.TenantFrom(ctx)
	out := &Simulation{}
	var d *statement.Draft
	err := s.p.db.Read(ctx, func(tx *fsm.Tx) (err error) {
		if err := out.begin(tx, t.ID, application, userID, scopes); err != nil {
			return err
		}
		q := statement.Question{
			App: out.App, UserID: userID, Scopes: out.Scopes, In: claim.Destinations,
			Request: claim.Request{Grant: federation.GrantCode, AuthTime: tx.Now()},
		}
		d, err = statement.Read(tx, s.p.claims, &q)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Mappings = append(d.Explain(ctx), out.unasked()...)
	said, err := d.Finish(ctx)
	if err != nil {
		out.Fault = err.Error()
		if errors.Is(err, claim.ErrRequired) {
			said.Mapped = nil
		}
	}
	return out, s.tokens(t, out, userID, &said)
}

func (out *Simulation) begin(tx *fsm.Tx, tenant, application, userID string, scopes []string) (err error) {
	*out = Simulation{}
	if out.App, _, err = federation.Get(tx, tenant, application); err != nil {
		return err
	}
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return fmt.Errorf("user: %w", err)
	}
	for _, s := range scopes {
		if !slices.Contains(out.App.AllowedScopes, s) {
			out.Refused = append(out.Refused, s)
		} else if !slices.Contains(out.Scopes, s) {
			out.Scopes = append(out.Scopes, s)
		}
	}
	may, err := federation.MayUse(tx, out.App, userID)
	switch {
	case err != nil:
		return err
	case out.App.Disabled:
		out.Denied = "The application is disabled."
	case u.Disabled:
		out.Denied = "The user is disabled."
	case !may:
		out.Denied = "Access is restricted, and neither the user nor a group that they are in was granted it."
	}
	return nil
}

// unasked are the mappings whose scope was not granted.
func (out *Simulation) unasked() (all []claim.Outcome) {
	for i, m := range out.App.Claims {
		if m.RequiredScope != "" && !slices.Contains(out.Scopes, m.RequiredScope) {
			all = append(all, claim.Outcome{Mapping: i, Claim: m.Claim, Says: "scope " + m.RequiredScope + " is not granted"})
		}
	}
	return all
}

// tokens fills what each of them would say.
func (s *Simulator) tokens(t identity.Tenant, out *Simulation, userID string, said *statement.Statement) error {
	ex := &exchange{tenant: t, grant: federation.GrantCode, scope: out.Scopes, subject: said.Subject}
	f := &family.Family{Tenant: out.App.Tenant, UserID: userID, AuthTime: s.p.db.Now().Truncate(time.Second).Unix()}
	access, err := s.p.accessClaims(ex, out.App, f, said)
	if err != nil {
		return err
	}
	if out.Access, err = out.take(claim.InAccessToken, access, said); err != nil || !slices.Contains(out.Scopes, federation.ScopeOpenID) {
		return err
	}
	id, err := s.p.idClaims(ex, out.App, f, &idToken{}, said)
	if err != nil {
		return err
	}
	if out.ID, err = out.take(claim.InIDToken, id, said); err != nil {
		return err
	}
	info, err := said.Over(&userinfo{said.Subject, said.Userinfo}, claim.InUserinfo)
	if err != nil {
		return err
	}
	out.Userinfo, err = out.take(claim.InUserinfo, info, said)
	return err
}

// take notes where each claim comes from.
func (out *Simulation) take(in string, claims any, said *statement.Statement) (json.RawMessage, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	delete(all, "fid") // of a family that there is not
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := Source{Claim: name, In: in, From: "protocol", Place: -1}
		if scope := federation.ScopeOf(name); scope != "" {
			s.From, s.Scope = "scope", scope
		}
		for _, c := range said.Mapped {
			if c.Name != name || !c.GoesTo(in) {
				continue
			}
			s.From, s.Scope, s.Place = "mapping", "", c.Mapping
			if c.Mapping >= 0 {
				s.Scope = out.App.Claims[c.Mapping].RequiredScope
			}
		}
		out.Sources = append(out.Sources, s)
	}
	return json.Marshal(all)
}
