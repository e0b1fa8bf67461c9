package admin

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys"
)

func (a *API) tenants() []route {
	return []route{
		{Method: "GET", Path: "/tenants", Needs: ofInstallation, Op: "listTenants", Summary: "List tenants, by slug.", Do: handle(a.listTenants)},
		{Method: "POST", Path: "/tenants", Needs: ofInstallation, Op: "createTenant", Summary: "Create a tenant, with its first signing key.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createTenant)},
		{Method: "GET", Path: "/tenants/{id}", Needs: ofInstallation, Op: "getTenant", Summary: "Get a tenant.", Tagged: true, Do: handle(a.getTenant)},
		{Method: "PUT", Path: "/tenants/{id}", Needs: ofInstallation, Op: "replaceTenant", Summary: "Replace what can be set of a tenant.", Tagged: true, Do: handle(a.changeTenant)},
		{Method: "PATCH", Path: "/tenants/{id}", Needs: ofInstallation, Op: "updateTenant", Summary: "Change what is mentioned of a tenant.", Tagged: true, Do: handle(a.changeTenant)},
		{Method: "DELETE", Path: "/tenants/{id}", Needs: ofInstallation, Op: "deleteTenant", Summary: "Delete a tenant that is empty.", Tagged: true, Do: handle(a.deleteTenant)},
	}
}

type tenantFields struct {
	Slug     string `json:"slug" max:"40" doc:"Path segment of the tenant's URLs, /t/{slug}/; empty for the default tenant only. Changing it changes the issuer."`
	Name     string `json:"name" required:"true" min:"1" max:"200" doc:"For people."`
	Disabled bool   `json:"disabled" doc:"Whether nobody signs in and no token is issued."`
}

type tenant struct {
	ID string `json:"id" doc:"ten_…"`
	tenantFields
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

func showTenant(t *directory.Tenant) tenant {
	return tenant{ID: t.ID, tenantFields: tenantFields{t.Slug, t.Name, t.Disabled}, CreatedAt: t.Created, UpdatedAt: t.Updated}
}

func (a *API) listTenants(c *call, in *pageIn) (*page[tenant], error) {
	var rows []directory.Tenant
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = directory.ListTenants(tx, in.After, in.Count())
		return err
	})
	return show(rows, next, showTenant), err
}

func (a *API) getTenant(c *call, in *byID) (*tenant, error) { return a.readTenant(c, in.ID) }

func (a *API) readTenant(c *call, id string) (*tenant, error) {
	var out tenant
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		t, rev, err := directory.GetTenant(tx, id)
		if err == nil {
			out = showTenant(t)
			c.Revision(rev)
		}
		return err
	})
	return &out, err
}

type createTenantIn struct{ Body tenantFields }

func (a *API) createTenant(c *call, in *createTenantIn) (*tenant, error) {
	var id string
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		f := in.Body
		t, err := directory.CreateTenant(tx, directory.Tenant{Slug: f.Slug, Name: f.Name, Disabled: f.Disabled})
		if err == nil {
			id = t.ID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("tenants", id)
	if err := a.cfg.Keys.Ensure(c.Ctx, id); err != nil {
		return nil, err
	}
	return a.readTenant(c, id)
}

type changeTenantIn struct {
	byID
	Body change[tenantFields]
}

func (a *API) changeTenant(c *call, in *changeTenantIn) (*tenant, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		_, err := directory.UpdateTenant(tx, in.ID, rev, func(t *directory.Tenant) error {
			f, err := in.Body.Onto(tenantFields{t.Slug, t.Name, t.Disabled}, tenantFields{Slug: t.Slug})
			if err == nil && t.Disabled && !f.Disabled {
				err = passkey.AdmitEnabled(tx, a.cfg.PublicURL, t.ID)
			}
			t.Slug, t.Name, t.Disabled = f.Slug, f.Name, f.Disabled
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	// A creation that was cut off may have left the tenant without a key.
	if err := a.cfg.Keys.Ensure(c.Ctx, in.ID); err != nil {
		return nil, err
	}
	return a.readTenant(c, in.ID)
}

func (a *API) deleteTenant(c *call, in *byID) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := directory.DeleteTenant(tx, in.ID, rev); err != nil {
			return err
		}
		left, _, err := federation.List(tx, in.ID, "", 1)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return identity.Denied("The tenant still has applications. Delete them first.")
		}
		for _, room := range []func(tx *fsm.Tx, tenant string) error{
			passkey.DeleteTenant, credential.DeleteTenant, settings.DeleteTenant, pending.DeleteTenant, notify.DeleteTenant, regain.DeleteTenant, keys.DeleteTenant,
		} {
			if err := room(tx, in.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
