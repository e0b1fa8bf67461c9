package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys"
)

// handed is what a token says that an application was handed, to exchange it.
type handed struct {
	subject  string // as the token spells it
	user     string // ID of the user; empty: an application acts for itself
	clientID string // whom it was issued to
	family   *family.Family
	scope    []string
	audience []string
	expires  int64 // Unix seconds
	details  json.RawMessage
	actor    *actor // who acts for the subject already
	mayAct   *actor // who may; nil: whoever is registered to
	confirm  family.Confirmation
}

// handedOver says which token of a request is meant, and whose it may be.
type handedOver struct {
	what string   // parameter
	from []string // client_ids that it may have been issued to, that of who exchanges first
}

func (o *handedOver) refuse(why string) error {
	return refuse(codeInvalidRequest, "The "+o.what+" "+why)
}

// handed verifies a token that is to be exchanged, of the type that the request says and of
// no other, and that it is still good: as fresh as any other answer of this node.
func (p *Provider) handed(ctx context.Context, ex *exchange, app *federation.Application, o *handedOver, form url.Values) (*handed, error) {
	read := p.handedAccess
	if form.Get(o.what+"_type") == typeOfID {
		read = p.handedID
	}
	h, err := read(ctx, o, form.Get(o.what))
	if errors.Is(err, errBadToken) {
		return nil, o.refuse("is not valid: not of this type, unknown, expired or revoked.")
	}
	if err != nil {
		return nil, err
	}
	// A token that is bound to a key is good for whoever holds the key, here as elsewhere.
	if h.confirm.JKT != "" && h.confirm.JKT != ex.confirm.JKT || h.confirm.X5T != "" && h.confirm.X5T != ex.confirm.X5T {
		return nil, o.refuse("is bound to a key, and this request does not prove to have it.")
	}
	if h.user == "" {
		return h, nil
	}
	err = p.db.Read(ctx, func(tx *fsm.Tx) error {
		may, err := federation.MayUse(tx, app, h.user)
		if err == nil && !may {
			return identity.ErrDenied
		}
		return err
	})
	if errors.Is(err, identity.ErrDenied) {
		return nil, o.refuse("is of a user who may not use this application.")
	}
	return h, err
}

// issuedTo looks at whom a token was issued to: an application that may hand it over, that
// is there, and that is not disabled.
func (p *Provider) issuedTo(ctx context.Context, o *handedOver, clientID string) (*federation.Application, error) {
	if !slices.Contains(o.from, clientID) {
		return nil, o.refuse("was issued to an application whose tokens this one may not exchange.")
	}
	app, err := p.application(ctx, clientID)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && app.Disabled {
		return nil, errBadToken
	}
	return app, err
}

func (p *Provider) handedAccess(ctx context.Context, o *handedOver, token string) (*handed, error) {
	c, err := p.verifyIssued(ctx, token)
	if err != nil {
		return nil, err
	}
	if _, err := p.issuedTo(ctx, o, c.ClientID); err != nil {
		return nil, err
	}
	h := &handed{
		subject: c.Subject, clientID: c.ClientID, scope: strings.Fields(c.Scope), audience: c.Audience,
		expires: c.Expires, details: c.Details, actor: c.Actor, mayAct: c.MayAct,
	}
	if c.Confirm != nil {
		h.confirm = *c.Confirm
	}
	if c.Family == "" {
		return h, nil
	}
	err = p.familyOf(ctx, nil, c.Family, func(_ *fsm.Tx, f *family.Family, _ *federation.Application) error {
		h.family, h.user = f, f.UserID
		return nil
	})
	return h, err
}

// handedID reads an ID token. It names no family, so those that it can have come with are
// looked for: of the same application, in the same session, and alive. It stands for what
// all of them were granted, and it names no key either: one of an application whose tokens
// are bound is no way around that.
func (p *Provider) handedID(ctx context.Context, o *handedOver, token string) (*handed, error) {
	t := identity.TenantFrom(ctx)
	payload, _, err := p.keys.Verify(ctx, t.ID, token, typID)
	if errors.Is(err, keys.ErrInvalidToken) || errors.Is(err, fsm.ErrNotFound) {
		return nil, errBadToken
	}
	if err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
	}
	var c idToken
	if json.Unmarshal(payload, &c) != nil || c.Issuer != t.Issuer || c.Subject == "" || c.Session == "" ||
		c.Authorized != c.Audience || p.db.Now().Unix() >= c.Expires {
		return nil, errBadToken
	}
	if began := p.ring.Began(); !began.IsZero() && c.Issued <= began.Unix() {
		return nil, errBadToken
	}
	of, err := p.issuedTo(ctx, o, c.Audience)
	if err != nil {
		return nil, err
	}
	var all []*family.Family
	err = p.db.Read(ctx, func(tx *fsm.Tx) (err error) {
		all, err = p.familiesIn(tx, of, c.Session)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, errBadToken
	}
	if err != nil {
		return nil, err
	}
	h := &handed{subject: c.Subject, clientID: c.Audience, expires: c.Expires}
	for _, f := range all {
		h.share(f, t.Issuer)
	}
	h.actor = c.Actor
	switch {
	case len(h.audience) == 0:
		return nil, o.refuse("may be of several grants, which have no audience in common.")
	case !h.confirm.Bound() && (of.Tokens.DPoPBound || of.Tokens.TLSBound || of.Profile == federation.ProfileFAPI2) && !o.own(of):
		return nil, o.refuse("is of an application whose tokens are bound to keys, and names none: exchange the access token.")
	}
	return h, nil
}

// own reports whether whoever exchanges is the application itself.
func (o *handedOver) own(app *federation.Application) bool { return o.from[0] == app.ClientID }

// share reduces h to what f was granted as well.
func (h *handed) share(f *family.Family, issuer string) {
	audience := f.Resources
	if len(audience) == 0 {
		audience = []string{issuer}
	}
	if h.family == nil {
		h.family, h.user, h.scope, h.audience, h.details = f, f.UserID, f.Scope, audience, f.Details
	}
	h.scope, h.audience = intersect(h.scope, f.Scope), intersect(h.audience, audience)
	if !bytes.Equal(h.details, f.Details) {
		h.details = nil
	}
	if f.Confirm.Bound() {
		h.confirm = f.Confirm
	}
}

// familiesIn finds the living families of an application that hang on a session, or reports fsm.ErrNotFound.
func (p *Provider) familiesIn(tx *fsm.Tx, app *federation.Application, sessionID string) (all []*family.Family, err error) {
	s, err := session.Get(tx, app.Tenant, sessionID)
	if err != nil {
		return nil, err
	}
	for f, err := range family.Of(tx, app.Tenant, s.UserID) {
		if err != nil {
			return nil, err
		}
		if f.SessionID != sessionID || f.Application != app.ID {
			continue
		}
		_, err := p.families.Live(tx, f)
		switch {
		case err == nil:
			all = append(all, f)
		case !errors.Is(err, family.ErrDead) && !errors.Is(err, fsm.ErrNotFound):
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("family of an ID token: %w", fsm.ErrNotFound)
	}
	return all, nil
}
