package consent

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

// Asked is what an application asks a person for.
type Asked struct {
	Scopes    []string
	Target    *resource.Target  // that its tokens shall be for
	Details   []resource.Detail // that have passed resource.CheckDetails
	Claims    []string          // beyond those of the scopes (OpenID Connect Core, section 5.5)
	Again     bool              // ask although it was allowed before: prompt=consent
	Confirmed bool              // it was asked just now, and Allowed came of it
	Allowed   []string
}

// A Decision is what becomes of that.
type Decision struct {
	Ask    bool     // the person must be asked before anything is given
	Scopes []string // that may be given if not: all but those that the person left out
	rev    uint64   // of the row that was looked at; 0: there is none
}

// Decide says whether a person must be asked. Nobody is asked by a first-party
// application, unless it says prompt=consent itself; nor for implied scopes and what
// belongs to a resource server without consent. Of the rest an explicit application asks
// for what is not remembered; one that asks always, for all of it.
func Decide(tx *fsm.Tx, app *federation.Application, userID string, a Asked) (Decision, error) {
	implicit := app.Consent == "" || app.Consent == federation.ConsentImplicit
	if implicit && !a.Again {
		return Decision{Scopes: a.Scopes}, nil
	}
	c, rev, err := stored(tx, app.Tenant, userID, app.ID)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Scopes: a.Scopes, rev: rev}
	void, err := replaced(tx, rev)
	if err != nil {
		return Decision{}, err
	}
	if c == nil || !c.Revoked.IsZero() || void {
		c = &Consent{}
	}
	if a.Confirmed && len(without(a.Allowed, c.Scopes)) == 0 && !c.Given.IsZero() { // it was not taken back meanwhile
		d.Scopes = slices.DeleteFunc(slices.Clone(a.Scopes), func(s string) bool { return !slices.Contains(a.Allowed, s) })
		return d, nil
	}
	if a.Again || app.Consent == federation.ConsentAlways {
		c = &Consent{}
	}
	d.Ask, err = missing(tx, app, c, a)
	if !d.Ask && len(a.Scopes)+len(a.Details)+len(a.Claims) == 0 && c.Given.IsZero() {
		d.Ask = true // it asks for nothing but to be let in
	}
	d.Scopes = without(a.Scopes, c.Declined)
	return d, err
}

// missing reports whether c lacks something of what is asked for.
func missing(tx *fsm.Tx, app *federation.Application, c *Consent, a Asked) (bool, error) {
	for _, name := range a.Scopes {
		if slices.Contains(c.Scopes, name) || slices.Contains(c.Declined, name) {
			continue
		}
		free, err := freeScope(tx, app.Tenant, name)
		if err != nil || !free {
			return true, err
		}
	}
	if a.Target != nil {
		for _, s := range a.Target.Servers {
			if !s.SkipConsent && !slices.Contains(c.Resources, s.Identifier) {
				return true, nil
			}
		}
	}
	for _, d := range a.Details {
		w, err := resource.Words(tx, app, d)
		if err != nil {
			return true, err
		}
		if !w.Free && !(w.Remembered && slices.Contains(c.Details, digest(d))) {
			return true, nil
		}
	}
	claims, err := extraClaims(tx, app.Tenant, a.Scopes, a.Claims)
	return len(without(claims, c.Claims)) > 0, err
}

// freeScope reports whether a scope is given without asking anybody.
func freeScope(tx *fsm.Tx, tenant, name string) (bool, error) {
	s, err := resource.Describe(tx, tenant, name)
	if err != nil || s.Implied || s.Resource == "" {
		return err == nil && s.Implied, err
	}
	server, _, err := resource.GetServer(tx, tenant, s.Resource)
	return err == nil && server.SkipConsent, err
}

// extraClaims are those that none of the scopes stands for.
func extraClaims(tx *fsm.Tx, tenant string, scopes, claims []string) ([]string, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	for _, name := range scopes {
		s, err := resource.Describe(tx, tenant, name)
		if err != nil {
			return nil, err
		}
		claims = without(claims, s.Claims)
	}
	return claims, nil
}

// digest tells a detail from others.
func digest(d resource.Detail) string {
	sum := sha256.Sum256(d.JSON)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
