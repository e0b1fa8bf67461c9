// Package statement puts together what tokens and userinfo say of a user to one
// application: the name that it knows the user by, the claims of the scopes that were
// granted, those that were requested by name, roles, and what its mappings yield.
//
// Not here: tokens, their protocol's own claims, signatures and HTTP (federation/oidc).
//
// Invariants: everything is read in one transaction, of the one user in question. An
// application gets a claim by name only if it may ask for the scope that the claim
// belongs to. An application without mappings pays for none: of the user nothing is
// read that is not said.
package statement

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// A Question is what is to be said, to whom, and where.
type Question struct {
	App       *federation.Application
	UserID    string // empty: the application acts for itself
	Scopes    []string
	Requested []byte   // the claims parameter as it was granted; empty: none
	In        []string // of claim.Destinations
	Request   claim.Request
}

// A Statement is what may be said.
type Statement struct {
	Subject  string
	IDToken  federation.Claims // by scopes and by name, empty unless asked for
	Userinfo federation.Claims // likewise
	Roles    []string          // that an access token names: with the scope roles
	Mapped   []claim.Claim
}

// A Draft is a Statement before mappings are applied, which is done outside of transactions.
type Draft struct {
	Statement
	plan  *claim.Plan
	facts claim.Facts
}

// Simple reports whether there is nothing to be read: the Statement is the user's ID and no more.
func (q *Question) Simple(plan *claim.Plan) bool {
	return plan == nil && q.App.Subject.Type != federation.SubjectPairwise && !q.in(claim.InIDToken) && !q.in(claim.InUserinfo) &&
		!slices.Contains(q.Scopes, federation.ScopeRoles)
}

func (q *Question) in(where string) bool { return slices.Contains(q.In, where) }

// Answer reads and computes the statement in the store's own time.
func Answer(ctx context.Context, db *fsm.DB, engine *claim.Engine, q *Question) (Statement, error) {
	plan := engine.Plan(q.App.Claims, q.Scopes, q.In...)
	if q.UserID == "" && plan == nil || q.Simple(plan) {
		return Statement{Subject: q.subject()}, nil
	}
	var d *Draft
	err := db.Read(ctx, func(tx *fsm.Tx) (err error) {
		d, err = q.read(tx, plan)
		return err
	})
	if err != nil {
		return Statement{}, err
	}
	return d.Finish(ctx)
}

// Read is the part of Answer that needs a transaction, for who has one.
func Read(tx *fsm.Tx, engine *claim.Engine, q *Question) (*Draft, error) {
	return q.read(tx, engine.Plan(q.App.Claims, q.Scopes, q.In...))
}

func (q *Question) subject() string {
	if q.UserID == "" {
		return q.App.ClientID
	}
	return q.UserID
}

func (q *Question) read(tx *fsm.Tx, plan *claim.Plan) (*Draft, error) {
	d := &Draft{plan: plan, Statement: Statement{Subject: q.subject()}}
	if plan != nil {
		d.facts = claim.Facts{App: q.App.App(), Scopes: q.Scopes, Request: q.Request}
		d.facts.Request.IP, d.facts.Request.Time = identity.RequestFrom(tx.Context()).IP, tx.Now()
	}
	if q.UserID == "" {
		return d, nil
	}
	u, _, err := directory.GetUser(tx, q.App.Tenant, q.UserID)
	if err != nil {
		return nil, err
	}
	if d.Subject, err = federation.SubjectOf(tx, q.App, u.ID); err != nil {
		return nil, err
	}
	if err := q.standard(tx, u, d); err != nil {
		return nil, err
	}
	d.facts.Subject, d.facts.User = d.Subject, u
	return d, q.mapped(tx, u, d)
}

// standard reads the claims of scopes and those that were requested by name.
func (q *Question) standard(tx *fsm.Tx, u *directory.User, d *Draft) (err error) {
	if q.in(claim.InAccessToken) && slices.Contains(q.Scopes, federation.ScopeRoles) {
		c, err := federation.ClaimsOf(tx, q.App, u, []string{federation.ScopeRoles})
		if err != nil {
			return err
		}
		d.Roles = c.Roles
	}
	if !q.in(claim.InIDToken) && !q.in(claim.InUserinfo) {
		return nil
	}
	var named front.Claims
	if len(q.Requested) > 0 {
		c, err := front.ParseClaims(string(q.Requested))
		if err != nil {
			return fmt.Errorf("requested claims: %w", err)
		}
		named = *c
	}
	if q.in(claim.InIDToken) {
		if d.IDToken, err = federation.ClaimsOf(tx, q.App, u, q.Scopes, q.allowed(named.IDToken)...); err != nil {
			return err
		}
	}
	if q.in(claim.InUserinfo) {
		d.Userinfo, err = federation.ClaimsOf(tx, q.App, u, q.Scopes, q.allowed(named.Userinfo)...)
	}
	return err
}

// allowed are the names of claims that the application may ask for, by the scope that each belongs to.
func (q *Question) allowed(claims []front.Claim) []string {
	var names []string
	for _, c := range claims {
		if s := federation.ScopeOf(c.Name); s != "" && slices.Contains(q.App.AllowedScopes, s) {
			names = append(names, c.Name)
		}
	}
	return names
}

// mapped reads what mappings need besides the user.
func (q *Question) mapped(tx *fsm.Tx, u *directory.User, d *Draft) error {
	if !d.plan.NeedsGroups() && !d.plan.NeedsRoles() {
		return nil
	}
	groups, err := directory.GroupsOf(tx, u.Tenant, u.ID)
	if err != nil {
		return err
	}
	for _, g := range groups {
		d.facts.Groups = append(d.facts.Groups, g.Name)
	}
	if d.plan.NeedsRoles() {
		d.facts.Roles, err = claim.RolesOf(tx, u.Tenant, q.App.ID, u.ID, groups)
	}
	return err
}

// Finish applies the mappings. A required one that yields nothing is claim.ErrRequired.
func (d *Draft) Finish(ctx context.Context) (Statement, error) {
	var err error
	d.Mapped, err = d.plan.Apply(ctx, &d.facts)
	return d.Statement, err
}

// Explain says what became of each mapping whose scope was granted.
func (d *Draft) Explain(ctx context.Context) []claim.Outcome { return d.plan.Explain(ctx, &d.facts) }

// Over lays what mappings yield for one destination over the claims that are there, and
// returns these themselves if there is nothing: mapped claims come in the place of
// standard ones of the same name.
func (s *Statement) Over(base any, in string) (any, error) {
	if !slices.ContainsFunc(s.Mapped, func(c claim.Claim) bool { return c.GoesTo(in) }) {
		return base, nil
	}
	text, err := json.Marshal(base)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for _, c := range s.Mapped {
		if c.GoesTo(in) {
			all[c.Name] = c.Value
		}
	}
	text, err = json.Marshal(all)
	return json.RawMessage(text), err
}
