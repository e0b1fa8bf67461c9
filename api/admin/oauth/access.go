package oauth

import (
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

func (a *api) access() []route {
	return []route{
		{Method: "GET", Path: "/applications/{id}/access", Op: "listAccess", Summary: "List who was granted access to a restricted application.", Do: handle(a.listAccess)},
		{Method: "POST", Path: "/applications/{id}/access/users", Op: "grantUserAccess", Summary: "Grant a user access.", Do: handle(a.grantUser)},
		{Method: "POST", Path: "/applications/{id}/access/groups", Op: "grantGroupAccess", Summary: "Grant the members of a group access.", Do: handle(a.grantGroup)},
		{Method: "DELETE", Path: "/applications/{id}/access/users/{target}", Op: "revokeUserAccess", Summary: "Take a user's grant back.", Do: handle(a.revokeUser)},
		{Method: "DELETE", Path: "/applications/{id}/access/groups/{target}", Op: "revokeGroupAccess", Summary: "Take a group's grant back.", Do: handle(a.revokeGroup)},
	}
}

type accessRule struct {
	Kind string `json:"kind" enum:"user|group" doc:"What was granted access."`
	ID   string `json:"id" doc:"ID of the user or group."`
}

func (a *api) listAccess(c *call, in *byID) (*page[accessRule], error) {
	var rows []federation.AccessRule
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		rows = nil
		if _, _, err := federation.Get(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		for r, err := range federation.ListAccess(tx, c.Tenant.ID, in.ID) {
			if err != nil {
				return err
			}
			rows = append(rows, *r)
		}
		return nil
	})
	return show(rows, "", func(r *federation.AccessRule) accessRule { return accessRule{r.Kind, r.Target} }), err
}

type userGrant struct {
	UserID string `json:"user_id" required:"true" min:"1" max:"64" doc:"ID of the user."`
}

type groupGrant struct {
	GroupID string `json:"group_id" required:"true" min:"1" max:"64" doc:"ID of the group."`
}

type grantUserIn struct {
	byID
	Body userGrant
}

type grantGroupIn struct {
	byID
	Body groupGrant
}

type revokeIn struct {
	byID
	Target string `path:"target" max:"64" doc:"ID of the user or group."`
}

func (a *api) grantUser(c *call, in *grantUserIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.Body.UserID); err != nil {
			return err
		}
		return federation.GrantAccess(tx, rule(c, in.ID, federation.AccessUser, in.Body.UserID))
	})
}

func (a *api) grantGroup(c *call, in *grantGroupIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetGroup(tx, c.Tenant.ID, in.Body.GroupID); err != nil {
			return err
		}
		return federation.GrantAccess(tx, rule(c, in.ID, federation.AccessGroup, in.Body.GroupID))
	})
}

func (a *api) revokeUser(c *call, in *revokeIn) (*none, error) {
	return a.revoke(c, rule(c, in.ID, federation.AccessUser, in.Target))
}

func (a *api) revokeGroup(c *call, in *revokeIn) (*none, error) {
	return a.revoke(c, rule(c, in.ID, federation.AccessGroup, in.Target))
}

func (a *api) revoke(c *call, r federation.AccessRule) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return federation.RevokeAccess(tx, r) })
}

func rule(c *call, application, kind, target string) federation.AccessRule {
	return federation.AccessRule{Tenant: c.Tenant.ID, Application: application, Kind: kind, Target: target}
}
