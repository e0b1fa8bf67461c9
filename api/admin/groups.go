package admin

import (
	"cmp"
	"net/http"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

func (a *API) groups() []route {
	return []route{
		{Method: "GET", Path: "/groups", Op: "listGroups", Summary: "List groups, by name.", Do: handle(a.listGroups)},
		{Method: "POST", Path: "/groups", Op: "createGroup", Summary: "Create a group.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createGroup)},
		{Method: "GET", Path: "/groups/{id}", Op: "getGroup", Summary: "Get a group.", Tagged: true, Do: handle(a.getGroup)},
		{Method: "PUT", Path: "/groups/{id}", Op: "replaceGroup", Summary: "Replace what can be set of a group.", Tagged: true, Do: handle(a.changeGroup)},
		{Method: "PATCH", Path: "/groups/{id}", Op: "updateGroup", Summary: "Change what is mentioned of a group.", Tagged: true, Do: handle(a.changeGroup)},
		{Method: "DELETE", Path: "/groups/{id}", Op: "deleteGroup", Summary: "Delete a group; its members stay.", Tagged: true, Do: handle(a.deleteGroup)},
		{Method: "GET", Path: "/groups/{id}/members", Op: "listMembers", Summary: "List the users in a group.", Do: handle(a.listMembers)},
		{Method: "PUT", Path: "/groups/{id}/members/{user}", Op: "addMember", Summary: "Put a user in a group.", Do: handle(a.addMember)},
		{Method: "DELETE", Path: "/groups/{id}/members/{user}", Op: "removeMember", Summary: "Take a user out of a group.", Do: handle(a.removeMember)},
	}
}

type groupFields struct {
	Name        string `json:"name" required:"true" min:"1" max:"200" doc:"Name, as applications see it in the groups claim; unique in the tenant."`
	Description string `json:"description" max:"1000" doc:"For people."`
	MFAPolicy   string `json:"mfa_policy" enum:"inherit|disabled|any|otp|passkey|device_bound" default:"inherit" doc:"Second factor that members need at every sign-in; the strictest of tenant, groups and application holds. device_bound: a passkey that never leaves its device, for which its maker answers only with passkey.require_attested."`
}

type group struct {
	ID string `json:"id" doc:"grp_…"`
	groupFields
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

// A ruledGroup is a group with its policy of second factors.
type ruledGroup struct {
	directory.Group
	mfa string
}

// ruled adds the policies to groups.
func ruled(tx *fsm.Tx, rows []directory.Group) ([]ruledGroup, error) {
	out := make([]ruledGroup, len(rows))
	for i := range rows {
		mfa, err := settings.OfGroup(tx, rows[i].Tenant, rows[i].ID)
		if err != nil {
			return nil, err
		}
		out[i] = ruledGroup{rows[i], mfa}
	}
	return out, nil
}

func showGroup(g *ruledGroup) group {
	return group{ID: g.ID, groupFields: groupFields{g.Name, g.Description, g.mfa}, CreatedAt: g.Created, UpdatedAt: g.Updated}
}

// rules makes sure, before the transaction, that every member of the cluster holds people
// to the policy that a group is to have.
func (a *API) rules(c *call, mfa string) error {
	if mfa == "" || mfa == settings.MFAInherit {
		return nil
	}
	return a.cfg.factors(c.Ctx, mfa)
}

type listGroupsIn struct {
	pageIn
	Search string `query:"search" max:"200" doc:"Beginning of the name."`
}

func (a *API) listGroups(c *call, in *listGroupsIn) (*page[group], error) {
	var rows []ruledGroup
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		var bare []directory.Group
		if bare, next, err = directory.ListGroups(tx, c.Tenant.ID, in.Search, in.After, in.Count()); err != nil {
			return err
		}
		rows, err = ruled(tx, bare)
		return err
	})
	return show(rows, next, showGroup), err
}

func (a *API) getGroup(c *call, in *byID) (*group, error) { return a.readGroup(c, in.ID) }

func (a *API) readGroup(c *call, id string) (*group, error) {
	var out group
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		g, rev, err := directory.GetGroup(tx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		mfa, err := settings.OfGroup(tx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		out = showGroup(&ruledGroup{*g, mfa})
		c.Revision(rev)
		return nil
	})
	return &out, err
}

type createGroupIn struct{ Body groupFields }

func (a *API) createGroup(c *call, in *createGroupIn) (*group, error) {
	mfa := cmp.Or(in.Body.MFAPolicy, settings.MFAInherit)
	if err := a.rules(c, mfa); err != nil {
		return nil, err
	}
	var id string
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, c.Tenant.ID, directory.Group{Name: in.Body.Name, Description: in.Body.Description})
		if err != nil {
			return err
		}
		id = g.ID
		return settings.SetOfGroup(tx, c.Tenant.ID, id, mfa)
	})
	if err != nil {
		return nil, err
	}
	c.Location("groups", id)
	return a.readGroup(c, id)
}

type changeGroupIn struct {
	byID
	Body change[groupFields]
}

func (a *API) changeGroup(c *call, in *changeGroupIn) (*group, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	wanted, err := in.Body.Onto(groupFields{}, groupFields{})
	if err != nil {
		return nil, err
	}
	if err := a.rules(c, wanted.MFAPolicy); err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		mfa, err := settings.OfGroup(tx, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		_, err = directory.UpdateGroup(tx, c.Tenant.ID, in.ID, rev, func(g *directory.Group) error {
			f, err := in.Body.Onto(groupFields{g.Name, g.Description, mfa}, groupFields{})
			g.Name, g.Description, mfa = f.Name, f.Description, f.MFAPolicy
			return err
		})
		if err != nil {
			return err
		}
		left, err := spare.Govern(tx, c.Tenant.ID, func() error { return settings.SetOfGroup(tx, c.Tenant.ID, in.ID, cmp.Or(mfa, settings.MFAInherit)) })
		if err == nil && !left {
			err = identity.Invalid("mfa_policy", "would leave no administrator a way to sign in: none has what it asks for. Add that to an administrator first, or make recovery codes.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readGroup(c, in.ID)
}

func (a *API) deleteGroup(c *call, in *byID) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := directory.DeleteGroup(tx, c.Tenant.ID, in.ID, rev); err != nil {
			return err
		}
		return settings.DeleteGroup(tx, c.Tenant.ID, in.ID)
	})
}

type listMembersIn struct {
	byID
	pageIn
}

func (a *API) listMembers(c *call, in *listMembersIn) (*page[user], error) {
	var rows []directory.User
	var next string
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = directory.MembersOf(tx, c.Tenant.ID, in.ID, in.After, in.Count())
		return err
	})
	return show(rows, next, showUser), err
}

type memberIn struct {
	byID
	User string `path:"user" max:"64" doc:"ID of the user."`
}

func (a *API) addMember(c *call, in *memberIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return directory.AddMember(tx, c.Tenant.ID, in.ID, in.User)
	})
}

func (a *API) removeMember(c *call, in *memberIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return directory.RemoveMember(tx, c.Tenant.ID, in.ID, in.User)
	})
}
