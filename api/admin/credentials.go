package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

func (a *API) credentials() []route {
	return []route{
		{Method: "PUT", Path: "/users/{id}/password", Op: "setPassword", Summary: "Set a user's password; the user is signed out everywhere.", Do: handle(a.setPassword)},
		{Method: "GET", Path: "/users/{id}/tokens", Op: "listTokens", Summary: "List a user's access tokens, without their values.", Do: handle(a.listTokens)},
		{Method: "POST", Path: "/users/{id}/tokens", Op: "createToken", Summary: "Create an access token. Its value is in this answer only.", Status: http.StatusCreated, Do: handle(a.createToken)},
		{Method: "DELETE", Path: "/users/{id}/tokens/{token}", Op: "deleteToken", Summary: "End an access token.", Do: handle(a.deleteToken)},
	}
}

type newPassword struct {
	Password   identity.Secret `json:"password" required:"true" min:"8" max:"1024" doc:"The new password."`
	MustChange bool            `json:"must_change" doc:"Whether the user must choose another one at the next sign-in."`
}

type setPasswordIn struct {
	byID
	Body newPassword
}

func (a *API) setPassword(c *call, in *setPasswordIn) (*none, error) {
	var u *directory.User
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		u, _, err = directory.GetUser(tx, c.Tenant.ID, in.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	phc, err := a.preparePassword(c, u, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if in.Body.MustChange {
		if err := a.cfg.modern(feature.Authentication)(c.Ctx); err != nil {
			return nil, err
		}
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		if err := regain.SingleFor(tx, c.Tenant.ID, in.ID); err != nil { // a first one, too: they may get in by other ways
			return err
		}
		if err := credential.SetPassword(tx, c.Tenant.ID, in.ID, phc); err != nil {
			return err
		}
		if in.Body.MustChange {
			if err := credential.RequireChange(tx, c.Tenant.ID, in.ID); err != nil {
				return err
			}
		}
		if err := family.RevokeAll(tx, c.Tenant.ID, in.ID, "password changed"); err != nil {
			return err
		}
		_, err := session.EndAllOf(tx, c.Tenant.ID, in.ID)
		return err
	})
}

// preparePassword hashes a new password of u, who need not be there yet.
func (a *API) preparePassword(c *call, u *directory.User, password identity.Secret) (phc string, err error) {
	who := credential.Person{Tenant: c.Tenant.ID, UserID: u.ID, About: strength.About{
		Username: u.Username, Email: u.Email, Name: u.Name, Others: []string{u.GivenName, u.FamilyName, c.Tenant.Slug},
	}}
	return credential.Prepare(c.Ctx, a.cfg.DB, a.cfg.Passwords, a.cfg.Checks, who, password.Reveal())
}

type listedToken struct {
	ID        string     `json:"id" doc:"tok_…"`
	Name      string     `json:"name" doc:"What it is for."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it stops working; absent: never."`
	Scopes    []string   `json:"scopes,omitempty" doc:"What it is good for: me (the owner's own account), read, write; absent: everything that its owner may do."`
	LastUsed  *time.Time `json:"last_used_at,omitempty" doc:"When it was used last, to a quarter of an hour; absent: never."`
}

func (listedToken) SchemaName() string { return "Token" }

// freshToken is a token with its value, for the one answer that shows it.
type freshToken struct {
	listedToken
	Token string `json:"token" doc:"The token itself, in this answer only."`
}

func (freshToken) SchemaName() string { return "TokenWithValue" }

func showToken(t *credential.Token) listedToken {
	out := listedToken{ID: t.ID, Name: t.Name, CreatedAt: t.Created, Scopes: t.Scopes}
	if !t.Expires.IsZero() {
		out.ExpiresAt = &t.Expires
	}
	return out
}

func (a *API) listTokens(c *call, in *byID) (*page[listedToken], error) {
	var rows []credential.Token
	used := map[string]time.Time{}
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows = nil
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		for t, err := range credential.ListTokens(tx, c.Tenant.ID, in.ID) {
			if err != nil {
				return err
			}
			rows = append(rows, *t)
			if used[t.ID], err = credential.TokenLastUsed(tx, t.ID); err != nil {
				return err
			}
		}
		return nil
	})
	out := show(rows, "", showToken)
	for i := range out.Data {
		if at := used[out.Data[i].ID]; !at.IsZero() {
			out.Data[i].LastUsed = &at
		}
	}
	return out, err
}

type newToken struct {
	Name      string    `json:"name" required:"true" min:"1" max:"100" doc:"What it is for."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it stops working; by default in 365 days, which is the most. The operator at a node's socket may say up to 3650."`
	Scopes    []string  `json:"scopes" doc:"What it is good for: me, read, write; by default everything."`
}

type createTokenIn struct {
	byID
	Body newToken
}

// How long a token can be good for. Existing ones may be for ever.
const (
	maxTokenLife    = 365 * 24 * time.Hour
	maxOperatorLife = 10 * maxTokenLife // of what the operator makes, who asks for more than the rest explicitly
	clocks          = time.Hour         // that whoever computed the end may be ahead
)

// tokenEnd is when a token stops working for which that was asked; zero: nobody said.
func tokenEnd(tx *fsm.Tx, asked time.Time) (time.Time, error) {
	longest, days := maxTokenLife, 365
	if identity.ActorFrom(tx.Context()).Kind == identity.ActorOperator {
		longest, days = maxOperatorLife, 3650
	}
	switch {
	case asked.IsZero():
		return tx.Now().Add(maxTokenLife), nil
	case asked.After(tx.Now().Add(longest + clocks)):
		return time.Time{}, identity.Invalid("expires_at", fmt.Sprintf("A token is good for %d days at most.", days))
	}
	return asked, nil
}

func (a *API) createToken(c *call, in *createTokenIn) (*freshToken, error) {
	var out freshToken
	if len(in.Body.Scopes) > 0 { // a release that knows no scopes would let it do everything
		if err := a.cfg.modern(feature.Authentication)(c.Ctx); err != nil {
			return nil, err
		}
	}
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		if err := regain.SingleFor(tx, c.Tenant.ID, in.ID); err != nil { // a token is a way into the account
			return err
		}
		until, err := tokenEnd(tx, in.Body.ExpiresAt)
		if err != nil {
			return err
		}
		t, value, err := credential.CreateToken(tx, c.Tenant.ID, in.ID, in.Body.Name, "", until, in.Body.Scopes...)
		if err != nil {
			return err
		}
		out = freshToken{showToken(t), value}
		return nil
	})
	c.Location("users", in.ID, "tokens")
	return &out, err
}

type deleteTokenIn struct {
	byID
	Token string `path:"token" max:"64" doc:"ID of the token."`
}

func (a *API) deleteToken(c *call, in *deleteTokenIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return credential.DeleteToken(tx, c.Tenant.ID, in.ID, in.Token)
	})
}
