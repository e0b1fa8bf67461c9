package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// waitGrant gives tokens to a client that polls until a person has decided elsewhere: of a
// device (RFC 8628, section 3.4) and of decoupled sign-in (OpenID CIBA Core, section 10.1). A
// poll writes nothing; the exchange is one log entry.
type waitGrant struct {
	p         *Provider
	by        string // grant type
	kind      poll.Kind
	parameter string // that carries the code
	find      func(tx *fsm.Tx, tenant string, id family.ID) (*wait, error)
	spend     func(tx *fsm.Tx, tenant string, id family.ID) error
}

// starts is an endpoint that begins what a person decides elsewhere.
func starts[T any](p *Provider, start func(http.ResponseWriter, *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := start(w, r)
		if err != nil {
			p.writeError(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// await stores what a person shall decide, within the limit on who asks, and spends the
// assertion of whoever asks along with it: one log entry, and none above the limit.
func (p *Provider) await(ctx context.Context, who *caller.Caller, l poll.Limit, from poll.Starter, start func(*fsm.Tx) error) error {
	if err := p.db.View(ctx, func(tx *fsm.Tx) error { return l.Check(tx, from) }); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *fsm.Tx) error { return errors.Join(who.Spend(tx), start(tx)) })
}

// A wait is what a poll finds.
type wait struct {
	grant            family.Grant
	application      string // its ID
	pending, refused bool
}

func deviceGrant(p *Provider) waitGrant {
	return waitGrant{p, federation.GrantDevice, poll.Device, "device_code", func(tx *fsm.Tx, tenant string, id family.ID) (*wait, error) {
		a, err := device.Get(tx, tenant, id)
		if err != nil {
			return nil, err
		}
		return &wait{a.Grant, a.Application, a.State == device.Pending, a.State != device.Approved}, nil
	}, device.Spend}
}

func cibaGrant(p *Provider) waitGrant {
	return waitGrant{p, federation.GrantCIBA, poll.CIBA, "auth_req_id", func(tx *fsm.Tx, tenant string, id family.ID) (*wait, error) {
		r, err := ciba.Get(tx, tenant, id)
		if err != nil {
			return nil, err
		}
		return &wait{r.Grant, r.Application, r.State == ciba.Pending, r.State != ciba.Approved}, nil
	}, ciba.Spend}
}

var (
	errPending  = refuse(codePending, "The user has not decided yet.")
	errSlowDown = refuse(codeSlowDown, "The client polls too often; it must wait five seconds longer from now on.")
	errTimeout  = refuse(codeExpiredToken, "The time for the user to decide is over, or the tokens have been given out.")
	errRefused  = func() error {
		e := refuse(codeAccessDenied, "The user has refused.")
		e.CodeField = 400 // at the token endpoint (RFC 6749, section 5.2)
		return e
	}()
	errBadWait = refuse(codeInvalidGrant, "The code is not valid: unknown, used before, or issued to another client.")
)

func (waitGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }
func (waitGrant) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// HandleTokenEndpointRequest says how far the wait has come. Only "approved" goes on.
func (g waitGrant) HandleTokenEndpointRequest(ctx context.Context, req fosite.AccessRequester) error {
	c, ex, err := requested(req, g.by)
	if err != nil {
		return err
	}
	code := req.GetRequestForm().Get(g.parameter)
	if code == "" {
		return refuse(codeInvalidRequest, "Parameter "+g.parameter+" is missing.")
	}
	if ex.wish, err = readWish(req.GetRequestForm()); err != nil {
		return err
	}
	id, err := g.kind.Parse(g.p.ring, ex.tenant.ID, c.ClientID, code)
	if errors.Is(err, seal.ErrBox) {
		return errBadWait
	}
	if err != nil {
		return err
	}
	w, err := g.look(ctx, c, id)
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return g.over(ctx, c, ex, id)
	case err != nil:
		return err
	case w.application != c.ID:
		return errBadWait // the client_id was registered anew meanwhile
	case w.pending && g.p.pace.Poll(id, g.p.db.Now()):
		return errSlowDown
	case w.pending:
		return errPending
	case w.refused:
		return errRefused
	}
	ex.waited = w
	return nil
}

func (g waitGrant) look(ctx context.Context, c client, id family.ID) (w *wait, err error) {
	err = g.p.lookup(ctx, func(tx *fsm.Tx) (err error) {
		w, err = g.find(tx, c.Tenant, id)
		return err
	})
	return w, err
}

// over answers for a wait that has ended. If its family exists, the code comes a second
// time: like an authorization code that does, it revokes what the first time gave.
func (g waitGrant) over(ctx context.Context, c client, ex *exchange, id family.ID) error {
	var f *family.Family
	err := g.p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		f, err = family.Get(tx, c.Tenant, id)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) || err == nil && f.RevokedAt != 0 {
		return errTimeout
	}
	if err != nil {
		return err
	}
	_, err = g.p.families.Begin(ctx, c.Application, family.Start{
		Grant: family.Grant{Family: id}, What: string(g.kind), Arrived: ex.arrived,
		Check: func(*fsm.Tx) error { return family.ErrDead },
	})
	return g.wire(err)
}

// PopulateTokenEndpointResponse makes the family and ends the wait, which is the one log entry.
func (g waitGrant) PopulateTokenEndpointResponse(ctx context.Context, req fosite.AccessRequester, resp fosite.AccessResponder) error {
	c, ex, err := requested(req, g.by)
	if err != nil {
		return err
	}
	id := ex.waited.grant.Family
	start := ex.start(c.Application, family.Start{
		Grant: ex.waited.grant, By: g.by, What: string(g.kind), Arrived: ex.arrived,
		Check: func(tx *fsm.Tx) error {
			err := g.spend(tx, c.Tenant, id)
			if errors.Is(err, identity.ErrDenied) {
				return fmt.Errorf("%w: %w", err, family.ErrDead)
			}
			return err
		},
	})
	start.Check = ex.check(c.Application, start)
	h, err := g.p.families.Begin(ctx, c.Application, start)
	if err != nil {
		return g.wire(err)
	}
	g.p.pace.Done(id)
	ex.granted(h.Family)
	ex.scope = intersect(ex.scope, c.AllowedScopes) // as they are now
	ex.narrow()
	t, err := g.p.mintFamily(ctx, ex, c.Application, h, &idToken{})
	if err != nil {
		return err
	}
	answer(resp, c, t)
	return nil
}

// wire says in the client's words why no family was made.
func (waitGrant) wire(err error) error {
	switch {
	case errors.Is(err, family.ErrSpent), errors.Is(err, family.ErrDead), errors.Is(err, fsm.ErrNotFound):
		return errBadWait
	case errors.Is(err, family.ErrNotAllowed):
		return refuse(codeInvalidGrant, "The user may no longer use this application.")
	}
	return err
}

// askedFor reads what a client asks for in the name of a user, where no authorization
// request says it.
func (p *Provider) askedFor(ctx context.Context, app *federation.Application, form url.Values) (g family.Grant, err error) {
	scope, err := allowedScopes(form.Get("scope"), app)
	if err != nil {
		return g, err
	}
	want, err := readWish(form)
	if err != nil {
		return g, err
	}
	g.Scope, g.Resources, g.Details = scope, want.resources, resource.Spell(want.details)
	if len(want.resources)+len(want.details) == 0 {
		return g, nil
	}
	err = p.db.Read(ctx, func(tx *fsm.Tx) error {
		if _, err := resource.Aim(tx, app, identity.TenantFrom(ctx).Issuer, g.Resources); err != nil {
			return err
		}
		return resource.CheckDetails(tx, app, want.details)
	})
	return g, onWire(err)
}
