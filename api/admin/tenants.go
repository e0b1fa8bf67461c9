package admin

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys"
)

func (a *API) tenants() []route {
	return []route{
		{method: "GET", path: "/tenants", needs: ofInstallation, op: "listTenants", summary: "List tenants, by slug.", do: handle(a.listTenants)},
		{method: "POST", path: "/tenants", needs: ofInstallation, op: "createTenant", summary: "Create a tenant, with its first signing key.", status: http.StatusCreated, tagged: true, do: handle(a.createTenant)},
		{method: "GET", path: "/tenants/{id}", needs: ofInstallation, op: "getTenant", summary: "Get a tenant.", tagged: true, do: handle(a.getTenant)},
		{method: "PUT", path: "/tenants/{id}", needs: ofInstallation, op: "replaceTenant", summary: "Replace what can be set of a tenant.", tagged: true, do: handle(a.changeTenant)},
		{method: "PATCH", path: "/tenants/{id}", needs: ofInstallation, op: "updateTenant", summary: "Change what is mentioned of a tenant.", tagged: true, do: handle(a.changeTenant)},
		{method: "DELETE", path: "/tenants/{id}", needs: ofInstallation, op: "deleteTenant", summary: "Delete a tenant that is empty.", tagged: true, do: handle(a.deleteTenant)},
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
	err := a.cfg.DB.View(c.ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = directory.ListTenants(tx, in.After, in.limit())
		return err
	})
	return show(rows, next, showTenant), err
}

func (a *API) getTenant(c *call, in *byID) (*tenant, error) { return a.readTenant(c, in.ID) }

func (a *API) readTenant(c *call, id string) (*tenant, error) {
	var out tenant
	err := a.cfg.DB.Read(c.ctx, func(tx *fsm.Tx) error {
		t, rev, err := directory.GetTenant(tx, id)
		if err != nil {
			return err
		}
		out = showTenant(t)
		c.revision(rev)
		return nil
	})
	return &out, err
}

type createTenantIn struct{ Body tenantFields }

func (a *API) createTenant(c *call, in *createTenantIn) (*tenant, error) {
	var id string
	err := a.cfg.DB.Update(c.ctx, func(tx *fsm.Tx) error {
		f := in.Body
		t, err := directory.CreateTenant(tx, directory.Tenant{Slug: f.Slug, Name: f.Name, Disabled: f.Disabled})
		if err != nil {
			return err
		}
		id = t.ID
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.location("tenants", id)
	if err := a.cfg.Keys.Ensure(c.ctx, id); err != nil {
		return nil, err
	}
	return a.readTenant(c, id)
}

type changeTenantIn struct {
	byID
	Body change[tenantFields]
}

func (a *API) changeTenant(c *call, in *changeTenantIn) (*tenant, error) {
	rev, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.ctx, func(tx *fsm.Tx) error {
		_, err := directory.UpdateTenant(tx, in.ID, rev, func(t *directory.Tenant) error {
			f, err := in.Body.onto(tenantFields{t.Slug, t.Name, t.Disabled}, tenantFields{Slug: t.Slug})
			t.Slug, t.Name, t.Disabled = f.Slug, f.Name, f.Disabled
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	// A creation that was cut off may have left the tenant without a key.
	if err := a.cfg.Keys.Ensure(c.ctx, in.ID); err != nil {
		return nil, err
	}
	return a.readTenant(c, in.ID)
}

func (a *API) deleteTenant(c *call, in *byID) (*none, error) {
	rev, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.ctx, func(tx *fsm.Tx) error {
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
		if err := credential.DeleteTenant(tx, in.ID); err != nil {
			return err
		}
		return keys.DeleteTenant(tx, in.ID)
	})
}
