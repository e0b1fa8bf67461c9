package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys"
)

// A wish is which part of what was granted a token request is for (RFC 8707, section 2.2;
// RFC 9396, section 6); empty: all of it.
type wish struct {
	resources []string
	details   []resource.Detail
}

// aimed is what one access token is for.
type aimed struct {
	target  *resource.Target
	scope   []string        // of those granted, what means something to it
	details json.RawMessage // likewise
}

func readWish(form url.Values) (w wish, err error) {
	w.resources = form["resource"]
	w.details, err = resource.ReadDetails(form.Get("authorization_details"))
	return w, onWire(err)
}

// onWire says in the protocol's words why a target or a detail was not accepted.
func onWire(err error) error {
	detail := ""
	if e, ok := errors.AsType[*identity.Error](err); ok {
		detail = e.Detail
	}
	switch {
	case errors.Is(err, resource.ErrTarget):
		return refuse(codeInvalidTarget, detail)
	case errors.Is(err, resource.ErrDetails):
		return refuse(codeInvalidDetails, detail)
	}
	return err
}

// aim decides what an access token is for, given what was granted. It belongs into the
// transaction that decides on the grant: a resource server that was closed to the
// application meanwhile is closed.
func (e *exchange) aim(tx *fsm.Tx, app *federation.Application, g *family.Family) error {
	e.aimed = nil
	if len(g.Resources)+len(g.Details)+len(e.wish.resources)+len(e.wish.details) == 0 {
		return nil
	}
	may := g.Resources
	if len(may) == 0 {
		may = []string{e.tenant.Issuer}
	}
	uris := e.wish.resources
	if len(uris) == 0 {
		uris = g.Resources
	}
	if !subset(uris, may) {
		return refuse(codeInvalidTarget, "The resource was not part of what was authorized.")
	}
	details, err := resource.ReadDetails(string(g.Details))
	if err != nil {
		return err
	}
	for _, d := range e.wish.details {
		if !d.Within(details) {
			return refuse(codeInvalidDetails, "The authorization_details are more than what was authorized.")
		}
	}
	if len(e.wish.details) > 0 {
		details = e.wish.details
	}
	return e.settleOn(tx, app, uris, g.Scope, details)
}

func (e *exchange) settleOn(tx *fsm.Tx, app *federation.Application, uris, scope []string, details []resource.Detail) error {
	target, err := resource.Aim(tx, app, e.tenant.Issuer, uris)
	if err != nil {
		return onWire(err)
	}
	if err := resource.CheckDetails(tx, app, details); err != nil {
		return onWire(err)
	}
	a := &aimed{target: target, details: resource.Spell(target.Details(details))}
	if a.scope, err = target.Scopes(tx, app.Tenant, scope); err != nil {
		return err
	}
	e.aimed = a
	return nil
}

// check adds to what must hold of a code: that the consent it came of was not taken back,
// and that it may be exchanged for what the request wants.
func (e *exchange) check(app *federation.Application, s family.Start) func(*fsm.Tx) error {
	before := s.Check
	return func(tx *fsm.Tx) error {
		if err := before(tx); err != nil {
			return err
		}
		if err := consent.Stands(tx, app.Tenant, s.UserID, app.ID, s.Index); err != nil {
			return err
		}
		return e.aim(tx, app, &family.Family{Scope: s.Scope, Resources: s.Resources, Details: s.Details})
	}
}

// recheck is the same for a refresh; a consent that is taken back takes the family with it.
func (e *exchange) recheck(app *federation.Application) func(*fsm.Tx, *family.Family) error {
	return func(tx *fsm.Tx, f *family.Family) error { return e.aim(tx, app, f) }
}

// aimOwn is aim for an application that acts for itself: nobody has granted anything, the
// resource servers themselves say whom they are open to.
func (p *Provider) aimOwn(ctx context.Context, app *federation.Application, e *exchange, form url.Values) (err error) {
	if e.wish, err = readWish(form); err != nil {
		return err
	}
	if len(e.wish.resources)+len(e.wish.details) == 0 {
		return nil
	}
	err = p.db.Read(ctx, func(tx *fsm.Tx) error { return e.settleOn(tx, app, e.wish.resources, e.scope, e.wish.details) })
	if err == nil {
		e.narrow()
	}
	return err
}

// narrow has the access token say no more than what it is aimed at.
func (e *exchange) narrow() {
	if e.aimed == nil {
		return
	}
	e.resources, e.details = e.aimed.target.Audience, e.aimed.details
	e.scope = intersect(e.scope, e.aimed.scope)
}

// accessLife is how long the access token lives, in seconds.
func (e *exchange) accessLife(app *federation.Application) int64 {
	if e.aimed == nil || len(e.aimed.target.Servers) == 0 {
		return e.life(app)
	}
	if e.lifetime > 0 { // what the token is made of does not live longer
		return min(e.lifetime, e.aimed.target.Expiry(app))
	}
	return e.aimed.target.Expiry(app)
}

// algOf is what a token of that type is signed with: access tokens as the resource servers
// want it, ID tokens as the application does.
func (e *exchange) algOf(app *federation.Application, typ string) keys.Alg {
	if typ != typAccess || e.aimed == nil {
		return algOf(app)
	}
	return algOf(&federation.Application{SigningAlg: e.aimed.target.SigningAlg(app)})
}

// tell adds to a token response what the application cannot know by itself.
func (e *exchange) tell(resp fosite.AccessResponder, app *federation.Application) {
	if e.aimed != nil || e.lifetime > 0 {
		resp.SetExtra("expires_in", e.accessLife(app))
	}
	if len(e.details) > 0 {
		resp.SetExtra("authorization_details", e.details)
	}
}

// mayIntrospect reports whether an application may learn what a token says: its own, or one
// that is for it as a resource server (RFC 7662, section 4).
func (p *Provider) mayIntrospect(ctx context.Context, app *federation.Application, c *accessToken) (may bool, err error) {
	if c.ClientID == app.ClientID {
		return true, nil
	}
	err = p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		may, err = resource.MayIntrospect(tx, app, c.Audience)
		return err
	})
	return may, err
}
