package admin

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

func (a *API) users() []route {
	return []route{
		{Method: "GET", Path: "/users", Op: "listUsers", Summary: "List users, by username.", Do: handle(a.listUsers)},
		{Method: "POST", Path: "/users", Op: "createUser", Summary: "Create a user, with a password if one is given.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createUser)},
		{Method: "GET", Path: "/users/{id}", Op: "getUser", Summary: "Get a user.", Tagged: true, Do: handle(a.getUser)},
		{Method: "PUT", Path: "/users/{id}", Op: "replaceUser", Summary: "Replace what can be set of a user.", Tagged: true, Do: handle(a.changeUser)},
		{Method: "PATCH", Path: "/users/{id}", Op: "updateUser", Summary: "Change what is mentioned of a user.", Tagged: true, Do: handle(a.changeUser)},
		{Method: "DELETE", Path: "/users/{id}", Op: "deleteUser", Summary: "Delete a user, with sessions, credentials and memberships. Refused for the last administrator of the installation who can sign in.", Tagged: true, Do: handle(a.deleteUser)},
		{Method: "GET", Path: "/users/{id}/groups", Op: "listUserGroups", Summary: "List the groups that a user is in.", Do: handle(a.listUserGroups)},
	}
}

type userFields struct {
	Username      string `json:"username" required:"true" min:"1" max:"128" doc:"Name to sign in with; unique in the tenant however it is spelled."`
	Email         string `json:"email" max:"254" doc:"Address; unique in the tenant."`
	EmailVerified bool   `json:"email_verified" doc:"Whether the address is known to be the user's."`
	Name          string `json:"name" max:"200" doc:"Name as it is shown."`
	GivenName     string `json:"given_name" max:"200" doc:"First name."`
	FamilyName    string `json:"family_name" max:"200" doc:"Last name."`
	Locale        string `json:"locale" max:"35" doc:"Language tag (BCP 47)."`
	Admin         bool   `json:"admin" doc:"Whether the user administers the tenant; in the default tenant, the installation, whose last administrator who can sign in stays one."`
	Disabled      bool   `json:"disabled" doc:"Whether the user is kept from signing in; never the last administrator of the installation who can sign in."`
}

type newUser struct {
	userFields
	Password identity.Secret `json:"password" max:"1024" doc:"First password; without one the user cannot sign in yet."`
}

type user struct {
	ID string `json:"id" doc:"usr_…"`
	userFields
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
	Groups    []string  `json:"groups,omitempty" doc:"Names of the groups that the user is in, where a list was asked for them."`
}

func fieldsOfUser(u *directory.User) userFields {
	return userFields{
		Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, Name: u.Name, GivenName: u.GivenName,
		FamilyName: u.FamilyName, Locale: u.Locale, Admin: u.Admin, Disabled: u.Disabled,
	}
}

func (f userFields) onto(u *directory.User) {
	u.Username, u.Email, u.EmailVerified, u.Name, u.GivenName = f.Username, f.Email, f.EmailVerified, f.Name, f.GivenName
	u.FamilyName, u.Locale, u.Admin, u.Disabled = f.FamilyName, f.Locale, f.Admin, f.Disabled
}

func showUser(u *directory.User) user {
	return user{ID: u.ID, userFields: fieldsOfUser(u), CreatedAt: u.Created, UpdatedAt: u.Updated}
}

type listUsersIn struct {
	pageIn
	Search   string `query:"search" max:"254" doc:"Beginning of the username, of the address, or of one or more of the first eight words of the name, in any order, without regard to case and accents; found in this order. A page may be short of its limit, or empty, and not be the last."`
	Username string `query:"username" max:"128" doc:"Only the user of this name."`
	Email    string `query:"email" max:"254" doc:"Only the user with this address."`
	Groups   bool   `query:"groups" doc:"Whether each comes with the names of the groups that they are in."`
}

func (a *API) listUsers(c *call, in *listUsersIn) (*page[user], error) {
	var out *page[user]
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		var rows []directory.User
		var next string
		switch {
		case in.Username != "":
			rows, err = oneOrNone(directory.UserByUsername(tx, c.Tenant.ID, in.Username))
		case in.Email != "":
			rows, err = oneOrNone(directory.UserByEmail(tx, c.Tenant.ID, in.Email))
		default:
			q := directory.UserQuery{Search: in.Search, After: in.After, Limit: in.Count()}
			rows, next, err = directory.ListUsers(tx, c.Tenant.ID, q)
		}
		out = show(rows, next, showUser)
		for i := 0; in.Groups && err == nil && i < len(out.Data); i++ {
			var all []directory.Group
			all, err = directory.GroupsOf(tx, c.Tenant.ID, out.Data[i].ID)
			for _, g := range all {
				out.Data[i].Groups = append(out.Data[i].Groups, g.Name)
			}
		}
		return err
	})
	return out, err
}

func (a *API) getUser(c *call, in *byID) (*user, error) {
	return a.readUser(c, in.ID)
}

func (a *API) readUser(c *call, id string) (*user, error) {
	var out user
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		u, rev, err := directory.GetUser(tx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		out = showUser(u)
		c.Revision(rev)
		return nil
	})
	return &out, err
}

type createUserIn struct{ Body newUser }

func (a *API) createUser(c *call, in *createUserIn) (*user, error) {
	var fresh directory.User
	in.Body.onto(&fresh)
	var phc string
	if in.Body.Password != "" {
		var err error
		if phc, err = a.preparePassword(c, &fresh, in.Body.Password); err != nil {
			return nil, err
		}
	}
	var id string
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, c.Tenant.ID, fresh)
		if err != nil {
			return err
		}
		id = u.ID
		if phc == "" {
			return nil
		}
		return credential.SetPassword(tx, c.Tenant.ID, id, phc)
	})
	if err != nil {
		return nil, err
	}
	c.Location("users", id)
	return a.readUser(c, id)
}

type changeUserIn struct {
	byID
	Body change[userFields]
}

func (a *API) changeUser(c *call, in *changeUserIn) (*user, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		var before directory.User
		u, err := directory.UpdateUser(tx, c.Tenant.ID, in.ID, rev, func(u *directory.User) error {
			before = *u
			f, err := in.Body.Onto(fieldsOfUser(u), userFields{})
			f.onto(u)
			return err
		})
		if err != nil {
			return err
		}
		// Whoever reads the mail gets in, and so does a certificate that names the user.
		if before.Email != u.Email || before.Username != u.Username {
			if err := regain.SingleFor(tx, c.Tenant.ID, u.ID); err != nil {
				return err
			}
		}
		if isSelf(c, u.ID) && (u.Disabled || !u.Admin) {
			return identity.Denied("You cannot take your own access away. Ask another admin.")
		}
		if !u.Disabled || before.Disabled {
			return nil
		}
		// For good: what was taken away must not come back when the user is enabled again.
		if err := family.RevokeAll(tx, c.Tenant.ID, u.ID, "user disabled"); err != nil {
			return err
		}
		_, err = session.EndAllOf(tx, c.Tenant.ID, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readUser(c, in.ID)
}

// isSelf reports whether id is the calling user.
func isSelf(c *call, id string) bool {
	actor := identity.ActorFrom(c.Ctx)
	return actor.Kind == identity.ActorUser && actor.ID == id
}

func (a *API) deleteUser(c *call, in *byID) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	if isSelf(c, in.ID) {
		return nil, identity.Denied("You cannot delete yourself. Ask another admin.")
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := directory.DeleteUser(tx, c.Tenant.ID, in.ID, rev); err != nil {
			return err
		}
		for _, room := range []func(tx *fsm.Tx, tenant, user string) error{
			regain.DeleteAllOf, passkey.DeleteAllOf, credential.DeleteAllOf, authn.DeleteAllOf, session.DeleteAllOf, notify.DeleteAllOf, pending.CancelEmailChange,
		} {
			if err := room(tx, c.Tenant.ID, in.ID); err != nil {
				return err
			}
		}
		_, err := session.EndAllOf(tx, c.Tenant.ID, in.ID)
		return err
	})
}

func (a *API) listUserGroups(c *call, in *byID) (*page[group], error) {
	var rows []ruledGroup
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		bare, err := directory.GroupsOf(tx, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		rows, err = ruled(tx, bare)
		return err
	})
	return show(rows, "", showGroup), err
}
