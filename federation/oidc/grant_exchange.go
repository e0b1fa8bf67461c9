package oidc

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// exchangeGrant trades a token that an application has been handed for one of its own (RFC
// 8693): for less, for no longer, and naming the application as the actor unless it is
// registered to do without. It writes nothing but the event of an impersonation.
type exchangeGrant struct{ p *Provider }

// Types of tokens (RFC 8693, section 3).
const (
	typeOfAccess = "urn:ietf:params:oauth:token-type:access_token"
	typeOfID     = "urn:ietf:params:oauth:token-type:id_token"
)

// maxActors is how many may act for each other in one token.
const maxActors = 4

func (exchangeGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }
func (exchangeGrant) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// HandleTokenEndpointRequest looks at the tokens and decides what the new one may say.
func (g exchangeGrant) HandleTokenEndpointRequest(ctx context.Context, req fosite.AccessRequester) error {
	c, ex, err := requested(req, federation.GrantExchange)
	if err != nil {
		return err
	}
	if c.Application.IsPublic {
		return refuse(codeUnauthorizedClient, "A public application cannot exchange tokens.")
	}
	form := req.GetRequestForm()
	if err := checkExchange(form); err != nil {
		return err
	}
	if ex.wish, err = readWish(form); err != nil {
		return err
	}
	if form.Get("audience") != "" {
		ex.wish.resources = append(slices.Clone(ex.wish.resources), form.Get("audience"))
	}
	from := &handedOver{what: "subject_token", from: append([]string{c.ClientID}, c.Exchange.From...)}
	if ex.handed, err = g.p.handed(ctx, ex, c.Application, from, form); err != nil {
		return err
	}
	var acting *handed
	if form.Get("actor_token") != "" {
		if acting, err = g.p.handed(ctx, ex, c.Application, &handedOver{what: "actor_token", from: []string{c.ClientID}}, form); err != nil {
			return err
		}
	}
	if ex.actor, err = actors(c.Application, ex.handed, acting); err != nil {
		return err
	}
	return g.less(ctx, c.Application, ex, acting, form)
}

// checkExchange looks at the form of a request (RFC 8693, section 2.1).
func checkExchange(form url.Values) error {
	kinds := []string{typeOfAccess, typeOfID}
	switch {
	case form.Get("subject_token") == "" || form.Get("subject_token_type") == "":
		return refuse(codeInvalidRequest, "Parameters subject_token and subject_token_type are required.")
	case (form.Get("actor_token") == "") != (form.Get("actor_token_type") == ""):
		return refuse(codeInvalidRequest, "Parameters actor_token and actor_token_type come together.")
	case !slices.Contains(kinds, form.Get("subject_token_type")), form.Get("actor_token") != "" && !slices.Contains(kinds, form.Get("actor_token_type")):
		return refuse(codeInvalidRequest, "Only access tokens and ID tokens can be exchanged.")
	case form.Get("requested_token_type") != "" && form.Get("requested_token_type") != typeOfAccess:
		return refuse(codeInvalidRequest, "Only an access token can be had in exchange.")
	}
	return nil
}

// actors is the act claim of the new token (RFC 8693, section 4.1). nil with no actor
// before: nobody but the subject is named.
func actors(app *federation.Application, subject, acting *handed) (*actor, error) {
	if acting == nil && subject.clientID == app.ClientID {
		return subject.actor, nil // its own token, made smaller: client_id names it already
	}
	now := &actor{Subject: app.ClientID, ClientID: app.ClientID}
	if acting != nil {
		if acting.actor != nil {
			return nil, refuse(codeInvalidRequest, "The actor_token must not be one that acts for somebody else.")
		}
		now = &actor{Subject: acting.subject, ClientID: acting.clientID}
	}
	if m := subject.mayAct; m != nil && !m.names(now) {
		return nil, refuse(codeInvalidRequest, "The subject_token says who may act for its subject, and it is not this actor.")
	}
	if acting == nil && app.Exchange.Impersonate {
		return subject.actor, nil
	}
	now.Actor = subject.actor
	depth := 0
	for a := now; a != nil; a = a.Actor {
		depth++
	}
	if depth > maxActors {
		return nil, refuse(codeInvalidRequest, "Too many act for each other in this token already.")
	}
	return now, nil
}

// names reports whether m, a may_act claim, means the actor (RFC 8693, section 4.4).
func (m *actor) names(a *actor) bool {
	if m.Subject == "" && m.ClientID == "" {
		return false
	}
	return (m.Subject == "" || m.Subject == a.Subject) && (m.ClientID == "" || m.ClientID == a.ClientID)
}

// less decides on scope, audience and life: none of them is more than what the subject's
// token has and the application may have.
func (g exchangeGrant) less(ctx context.Context, app *federation.Application, ex *exchange, acting *handed, form url.Values) error {
	subject := ex.handed
	want, ok := parseScope(form.Get("scope"))
	if !ok || !subset(want, subject.scope) || !subset(want, app.AllowedScopes) {
		return refuse(codeInvalidScope, "The scope is malformed, more than that of the subject_token, or not allowed for this application.")
	}
	if len(want) == 0 {
		want = intersect(subject.scope, app.AllowedScopes)
	}
	ex.scope = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == federation.ScopeOffline })
	now := g.p.db.Now().Unix()
	ex.lifetime = min(app.TokenExpiry, subject.expires-now)
	if acting != nil {
		ex.lifetime = min(ex.lifetime, acting.expires-now)
	}
	if ex.lifetime <= 0 {
		return refuse(codeInvalidRequest, "The subject_token or actor_token is about to expire.")
	}
	may := slices.Clone(app.Exchange.Audiences)
	if subject.clientID == app.ClientID {
		may = append(may, subject.audience...)
	}
	if len(ex.wish.resources) == 0 {
		ex.wish.resources = subject.audience
	}
	if len(may) == 0 || !subset(ex.wish.resources, may) {
		return refuse(codeInvalidTarget, "The application may not have tokens for this audience in exchange: it is not among those that it is registered for.")
	}
	err := g.p.db.Read(ctx, func(tx *fsm.Tx) error {
		return ex.aim(tx, app, &family.Family{Scope: ex.scope, Resources: may, Details: subject.details})
	})
	if err == nil {
		ex.narrow()
	}
	return err
}

// PopulateTokenEndpointResponse mints the one token there is. It dies with the subject's family.
func (g exchangeGrant) PopulateTokenEndpointResponse(ctx context.Context, req fosite.AccessRequester, resp fosite.AccessResponder) error {
	c, ex, err := requested(req, federation.GrantExchange)
	if err != nil {
		return err
	}
	if ex.actor == nil && ex.handed.clientID != c.ClientID {
		if err := g.tell(ctx, c.Application, ex); err != nil {
			return err
		}
	}
	ex.subject = ex.handed.subject
	access, err := g.p.mintAccess(ctx, ex, c.Application, ex.handed.family)
	if err != nil {
		return err
	}
	answer(resp, c, tokens{access: access, scope: ex.scope})
	resp.SetExtra("issued_token_type", typeOfAccess)
	resp.SetExtra("expires_in", ex.accessLife(c.Application))
	return nil
}

// tell writes down that an application is given a token in which nobody can see it act: one
// log entry, before the token leaves. Of any other exchange the token itself tells.
func (g exchangeGrant) tell(ctx context.Context, app *federation.Application, ex *exchange) error {
	e := event.Event{
		Tenant: app.Tenant, Type: event.TokenImpersonated, Actor: identity.Actor{Kind: identity.ActorApplication, ID: app.ID},
		Target: event.Target{Kind: "application", ID: app.ID, Name: app.DisplayName()},
		Data: map[string]string{
			"client_id": app.ClientID, "from": ex.handed.clientID, "user": ex.handed.user,
			"scope": strings.Join(ex.scope, " "), "audience": strings.Join(ex.audience(), " "),
		},
	}
	if ex.handed.family != nil {
		e.Target = event.Target{Kind: "family", ID: ex.handed.family.ID.String()}
	}
	return g.p.db.Update(ctx, func(tx *fsm.Tx) error {
		for _, also := range ex.also() {
			if err := also(tx); err != nil {
				return err
			}
		}
		return event.Append(tx, e)
	})
}
