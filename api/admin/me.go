package admin

import (
	"net/http"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/session"
)

// me are the routes on the account of whoever has sent the token, administrator or not.
func (a *API) me() []route {
	all := []route{
		{Method: "GET", Path: "/me", Op: "getMe", Summary: "Get the user that the token belongs to.", Do: handle(mine(a.getUser))},
		{Method: "GET", Path: "/me/sessions", Op: "listMySessions", Summary: "List the sessions of the token's user, newest first.", Do: handle(mine(a.listUserSessions))},
		{Method: "DELETE", Path: "/me/sessions", Op: "endMySessions", Summary: "Sign the token's user out everywhere.", Do: handle(mine(a.endUserSessions))},
		{Method: "DELETE", Path: "/me/sessions/{id}", Op: "endMySession", Summary: "Sign one browser of the token's user out.", Do: handle(a.endMySession)},
		{Method: "GET", Path: "/me/factors", Op: "listMyFactors", Summary: "List how the token's user proves who they are, besides the password.", Do: handle(mine(a.listFactors))},
		{Method: "GET", Path: "/me/devices", Op: "listMyDevices", Summary: "List the devices that the token's user is trusted in, oldest first.", Do: handle(mine(a.listDevices))},
		{Method: "DELETE", Path: "/me/devices/{id}", Op: "revokeMyDevice", Summary: "End the trust in one device of the token's user.", Do: handle(a.revokeMyDevice)},
		{Method: "GET", Path: "/me/tokens", Op: "listMyTokens", Summary: "List the access tokens of the token's user, without their values.", Do: handle(mine(a.listTokens))},
		{Method: "POST", Path: "/me/tokens", Op: "createMyToken", Summary: "Create an access token that is good for no more, and no longer, than the one that is sent. Its value is in this answer only.", Status: http.StatusCreated, Do: handle(a.createMyToken)},
		{Method: "DELETE", Path: "/me/tokens/{id}", Op: "deleteMyToken", Summary: "End an access token of the token's user.", Do: handle(a.deleteMyToken)},
	}
	for i := range all {
		all[i].Needs = ofPerson
	}
	return all
}

// mine makes of a route on any user one on the caller.
func mine[Out any](fn func(*call, *byID) (*Out, error)) func(*call, *none) (*Out, error) {
	return func(c *call, _ *none) (*Out, error) { return fn(c, &byID{ID: myself(c)}) }
}

func myself(c *call) string { return identity.ActorFrom(c.Ctx).ID }

func (a *API) endMySession(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		s, err := session.Get(tx, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		if s.UserID != myself(c) {
			return fsm.ErrNotFound // as if it were not there
		}
		return session.End(tx, c.Tenant.ID, in.ID)
	})
}

func (a *API) revokeMyDevice(c *call, in *byID) (*none, error) {
	return a.revokeDevice(c, &revokeDeviceIn{byID{ID: myself(c)}, in.ID})
}

func (a *API) deleteMyToken(c *call, in *byID) (*none, error) {
	return a.deleteToken(c, &deleteTokenIn{byID{ID: myself(c)}, in.ID})
}

type createMyTokenIn struct{ Body newToken }

// createMyToken makes a token by another. It is bounded by that one: otherwise whoever
// finds a token for little, or for an hour, would have one for everything and for ever.
func (a *API) createMyToken(c *call, in *createMyTokenIn) (*freshToken, error) {
	sent, _ := c.Ctx.Value(sentToken{}).(*credential.Token)
	want := in.Body
	if len(want.Scopes) == 0 {
		want.Scopes = sent.Scopes
	}
	beyond := func(scope string) bool { return !slices.Contains(sent.Scopes, scope) }
	if len(sent.Scopes) > 0 && !slices.Contains(sent.Scopes, credential.ScopeWrite) && slices.ContainsFunc(want.Scopes, beyond) {
		return nil, identity.Denied("A token can be made only for what the token that is sent is good for.")
	}
	longest := a.cfg.DB.Now().Add(maxTokenLife)
	if want.ExpiresAt.IsZero() {
		want.ExpiresAt = longest
		if !sent.Expires.IsZero() && sent.Expires.Before(longest) {
			want.ExpiresAt = sent.Expires
		}
	}
	if want.ExpiresAt.After(longest) {
		return nil, identity.Invalid("expires_at", "A token is good for 365 days at most.")
	}
	if !sent.Expires.IsZero() && want.ExpiresAt.After(sent.Expires) {
		return nil, identity.Invalid("expires_at", "The token cannot outlive the one that it is made with.")
	}
	return a.createToken(c, &createTokenIn{byID{ID: myself(c)}, want})
}

// sentToken keys the token in the context of a call.
type sentToken struct{}
