package people

import (
	"cmp"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
)

func (a *api) recoveries() []route {
	const path = "/users/{id}/recovery"
	return []route{
		{Method: "GET", Path: "/recoveries", Op: "listRecoveries", Summary: "List the accounts that somebody is getting back into, without links.", Do: handle(a.listRecoveries)},
		{Method: "GET", Path: path, Op: "getRecovery", Summary: "Get the recovery of a user that waits.", Do: handle(a.getRecovery)},
		{Method: "POST", Path: path, Op: "createRecovery", Summary: "Make a link by which a user gets back in, once: all second factors go and a new password is chosen. A user who was never in is welcomed by it. The link is in this answer only, and takes the place of what waited.", Status: http.StatusCreated, Do: handle(a.createRecovery)},
		{Method: "POST", Path: path + "/approve", Op: "approveRecovery", Summary: "Approve the link that another administrator has made, where the tenant wants two.", Do: handle(a.approveRecovery)},
		{Method: "DELETE", Path: path, Op: "cancelRecovery", Summary: "Stop the recovery of a user that waits.", Do: handle(a.cancelRecovery)},
	}
}

type newRecovery struct {
	ExpiresIn int64 `json:"expires_in" min:"0" max:"604800" example:"3600" doc:"Seconds that the link works, from 300; 0: a day."`
}

type waiting struct {
	ID        string         `json:"id" example:"rcv_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"rcv_…"`
	UserID    string         `json:"user_id" doc:"Whose account it is."`
	Kind      string         `json:"kind" enum:"person|link" example:"link" doc:"Who began it: the person, who has lost all second factors, or an administrator, by a link."`
	State     string         `json:"state" enum:"delayed|unapproved|open" example:"unapproved" doc:"What it waits for: its time, a second administrator, or the person."`
	First     bool           `json:"first" doc:"Of a link: whether nobody was in the account when it was made, so that it welcomes the user and nobody is told."`
	URL       string         `json:"url,omitempty" doc:"The link, in the answer that made it only. Whoever has it gets into the account."`
	CreatedBy dispatch.Acted `json:"created_by" doc:"Who began it."`
	CreatedAt time.Time      `json:"created_at" doc:"When it was begun."`
	ReadyAt   time.Time      `json:"ready_at" doc:"From when it can be finished."`
	ExpiresAt time.Time      `json:"expires_at" doc:"Until when."`

	ApprovedBy *dispatch.Acted `json:"approved_by,omitempty" doc:"The second administrator; absent: none yet, or none is needed."`
	ApprovedAt *time.Time      `json:"approved_at,omitempty" doc:"When they approved."`
}

func (waiting) SchemaName() string { return "Recovery" }

func (a *api) showRecovery(r *regain.Recovery) waiting {
	out := waiting{
		ID: r.ID, UserID: r.UserID, Kind: string(r.Kind), State: string(r.State(a.cfg.DB.Now())), CreatedBy: dispatch.ActedBy(r.By),
		CreatedAt: r.Begun, ReadyAt: r.Ready, ExpiresAt: r.Expires, First: r.First,
	}
	if !r.Approved.IsZero() {
		second := dispatch.ActedBy(r.Approver)
		out.ApprovedBy, out.ApprovedAt = &second, &r.Approved
	}
	return out
}

func (a *api) listRecoveries(c *call, in *pageIn) (*page[waiting], error) {
	var rows []regain.Recovery
	var next string
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = regain.List(tx, c.Tenant.ID, in.After, in.Count())
		return err
	})
	return dispatch.Show(rows, next, a.showRecovery), err
}

func noRecovery() error { return identity.NotFound("Nobody is getting back into this account.") }

func (a *api) getRecovery(c *call, in *byID) (*waiting, error) {
	var r *regain.Recovery
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		if r, err = regain.Waiting(tx, c.Tenant.ID, in.ID); err == nil && r == nil {
			err = noRecovery()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := a.showRecovery(r)
	return &out, nil
}

type createRecoveryIn struct {
	byID
	Body newRecovery `required:"false"`
}

func (a *api) createRecovery(c *call, in *createRecoveryIn) (*waiting, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	var out waiting
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		r, secret, err := regain.NewLink(tx, c.Tenant.ID, in.ID, time.Duration(cmp.Or(in.Body.ExpiresIn, 24*3600))*time.Second)
		if err != nil {
			return err
		}
		out = a.showRecovery(r)
		out.URL = c.Tenant.Issuer + "/regain/" + secret
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Location("users", in.ID, "recovery")
	return &out, nil
}

type approveRecoveryIn struct {
	byID
	Body approval
}

type approval struct {
	Recovery string `json:"recovery" required:"true" max:"64" example:"rcv_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"ID of the recovery: what took its place meanwhile is not approved with it."`
}

func (a *api) approveRecovery(c *call, in *approveRecoveryIn) (*waiting, error) {
	var out waiting
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		r, err := regain.Approve(tx, c.Tenant.ID, in.ID, in.Body.Recovery)
		if err == nil {
			out = a.showRecovery(r)
		}
		return err
	})
	return &out, err
}

func (a *api) cancelRecovery(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		there, err := regain.Cancel(tx, c.Tenant.ID, in.ID, "stopped by an administrator")
		if err == nil && !there {
			err = noRecovery()
		}
		return err
	})
}
