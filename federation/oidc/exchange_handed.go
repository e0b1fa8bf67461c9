package oidc

import (
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
	from []string // client_ids that it may have been issued to
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
func (p *Provider) issuedTo(ctx context.Context, o *handedOver, clientID string) error {
	if !slices.Contains(o.from, clientID) {
		return o.refuse("was issued to an application whose tokens this one may not exchange.")
	}
	app, err := p.application(ctx, clientID)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && app.Disabled {
		return errBadToken
	}
	return err
}

func (p *Provider) handedAccess(ctx context.Context, o *handedOver, token string) (*handed, error) {
	c, err := p.verifyIssued(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := p.issuedTo(ctx, o, c.ClientID); err != nil {
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
	err = p.familyOf(ctx, c.Family, func(_ *fsm.Tx, f *family.Family, _ *federation.Application) error {
		h.family, h.user = f, f.UserID
		return nil
	})
	return h, err
}

// handedID reads an ID token. It names no family, so the one that it came with is looked
// for: of the same application, in the same session, and alive.
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
	if err := p.issuedTo(ctx, o, c.Audience); err != nil {
		return nil, err
	}
	h := &handed{subject: c.Subject, clientID: c.Audience, audience: []string{t.Issuer}, expires: c.Expires}
	err = p.db.Read(ctx, func(tx *fsm.Tx) error {
		h.family, err = p.familyIn(tx, t.ID, c.Session, c.Audience)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, errBadToken
	}
	if err != nil {
		return nil, err
	}
	h.user, h.scope, h.details = h.family.UserID, h.family.Scope, h.family.Details
	if len(h.family.Resources) > 0 {
		h.audience = h.family.Resources
	}
	return h, nil
}

// familyIn finds a living family of an application that hangs on a session, or reports fsm.ErrNotFound.
func (p *Provider) familyIn(tx *fsm.Tx, tenant, sessionID, clientID string) (*family.Family, error) {
	s, err := session.Get(tx, tenant, sessionID)
	if err != nil {
		return nil, err
	}
	for f, err := range family.Of(tx, tenant, s.UserID) {
		if err != nil {
			return nil, err
		}
		if f.SessionID != sessionID || f.ClientID != clientID {
			continue
		}
		_, err := p.families.Live(tx, f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, family.ErrDead) && !errors.Is(err, fsm.ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("family of an ID token: %w", fsm.ErrNotFound)
}
