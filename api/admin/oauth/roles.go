package oauth

import (
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) roles() []route {
	return []route{
		{Method: "GET", Path: "/applications/{id}/roles", Op: "listRoles", Summary: "List the roles that users and groups have in an application.", Do: handle(a.listRoles)},
		{Method: "POST", Path: "/applications/{id}/roles/users", Op: "assignUserRole", Summary: "Give a user a role. Mappings know it as ${appRoles}, by its key, and as roles in CEL; with the scope roles it is in the claim roles.", Do: handle(a.assignUser)},
		{Method: "POST", Path: "/applications/{id}/roles/groups", Op: "assignGroupRole", Summary: "Give the members of a group a role.", Do: handle(a.assignGroup)},
		{Method: "DELETE", Path: "/applications/{id}/roles/users/{target}", Op: "withdrawUserRole", Summary: "Take a role of a user back.", Do: handle(a.withdrawUser)},
		{Method: "DELETE", Path: "/applications/{id}/roles/groups/{target}", Op: "withdrawGroupRole", Summary: "Take a role of a group back.", Do: handle(a.withdrawGroup)},
	}
}

type applicationRole struct {
	Kind string `json:"kind" enum:"user|group" doc:"Who has the role."`
	ID   string `json:"id" doc:"ID of the user or group."`
	Role string `json:"role" example:"editor" doc:"The role, as the application knows it."`
	Key  string `json:"key,omitempty" doc:"Variable that it is in claim mappings."`
}

func (a *api) listRoles(c *call, in *byID) (*page[applicationRole], error) {
	var rows []claim.Role
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		rows = nil
		if _, _, err := federation.Get(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		for r, err := range claim.List(tx, c.Tenant.ID, in.ID) {
			if err != nil {
				return err
			}
			rows = append(rows, *r)
		}
		return nil
	})
	return show(rows, "", func(r *claim.Role) applicationRole { return applicationRole{r.Kind, r.Target, r.Role, r.Key} }), err
}

type roleFields struct {
	Role string `json:"role" required:"true" min:"1" max:"200" example:"editor" doc:"The role, as the application knows it."`
	Key  string `json:"key" max:"64" example:"level" doc:"Variable that it shall be in claim mappings: ${key}."`
}

type userRole struct {
	UserID string `json:"user_id" required:"true" min:"1" max:"64" doc:"ID of the user."`
	roleFields
}

type groupRole struct {
	GroupID string `json:"group_id" required:"true" min:"1" max:"64" doc:"ID of the group."`
	roleFields
}

type assignUserIn struct {
	byID
	Body userRole
}

type assignGroupIn struct {
	byID
	Body groupRole
}

type withdrawIn struct {
	byID
	Target string `path:"target" max:"64" doc:"ID of the user or group."`
	Role   string `query:"role" max:"200" doc:"The role to take back."`
}

func (a *api) assignUser(c *call, in *assignUserIn) (*none, error) {
	return a.assign(c, in.ID, claim.Role{Kind: claim.KindUser, Target: in.Body.UserID, Role: in.Body.Role, Key: in.Body.Key})
}

func (a *api) assignGroup(c *call, in *assignGroupIn) (*none, error) {
	return a.assign(c, in.ID, claim.Role{Kind: claim.KindGroup, Target: in.Body.GroupID, Role: in.Body.Role, Key: in.Body.Key})
}

// assign waits until every member of the cluster reads roles: one that does not would
// issue tokens without them.
func (a *api) assign(c *call, application string, r claim.Role) (*none, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		app, _, err := federation.Get(tx, c.Tenant.ID, application)
		if err != nil {
			return err
		}
		return claim.Assign(tx, app.App(), r)
	})
}

func (a *api) withdrawUser(c *call, in *withdrawIn) (*none, error) {
	return a.withdraw(c, in, claim.KindUser)
}

func (a *api) withdrawGroup(c *call, in *withdrawIn) (*none, error) {
	return a.withdraw(c, in, claim.KindGroup)
}

func (a *api) withdraw(c *call, in *withdrawIn, kind string) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		app, _, err := federation.Get(tx, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		return claim.Withdraw(tx, app.App(), claim.Role{Kind: kind, Target: in.Target, Role: in.Role})
	})
}
