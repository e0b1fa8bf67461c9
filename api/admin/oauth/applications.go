package oauth

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) applications() []route {
	return []route{
		{Method: "GET", Path: "/applications", Op: "listApplications", Summary: "List applications, oldest first.", Do: handle(a.listApplications)},
		{Method: "POST", Path: "/applications", Op: "createApplication", Summary: "Create an application. The client secret is in this answer only.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createApplication)},
		{Method: "GET", Path: "/applications/{id}", Op: "getApplication", Summary: "Get an application.", Tagged: true, Do: handle(a.getApplication)},
		{Method: "PUT", Path: "/applications/{id}", Op: "replaceApplication", Summary: "Replace what can be set of an application.", Tagged: true, Do: handle(a.changeApplication)},
		{Method: "PATCH", Path: "/applications/{id}", Op: "updateApplication", Summary: "Change what is mentioned of an application.", Tagged: true, Do: handle(a.changeApplication)},
		{Method: "DELETE", Path: "/applications/{id}", Op: "deleteApplication", Summary: "Delete an application; what was granted through it ends.", Tagged: true, Do: handle(a.deleteApplication)},
	}
}

type application struct {
	ID           string `json:"id" example:"app_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"app_…"`
	ClientID     string `json:"client_id" example:"app_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"What the application calls itself in requests."`
	ClientSecret string `json:"client_secret,omitempty" doc:"Only in the answer that made it."`
	applicationFields
	RegisteredBy string     `json:"registered_by" enum:"admin|dynamic|metadata" doc:"Who made it: an administrator, itself (RFC 7591), or the document that its client_id leads to."`
	CreatedAt    time.Time  `json:"created_at" doc:"When it was made."`
	UpdatedAt    time.Time  `json:"updated_at" doc:"When it last changed."`
	LastUsed     *time.Time `json:"last_used,omitempty" doc:"When it was last given tokens, to about a minute."`
	Warnings     []string   `json:"warnings,omitempty" doc:"What may stand and is probably a mistake, in sentences; not in lists."`
}

func showApplication(p *federation.Application) application {
	return application{
		ID: p.ID, ClientID: p.ClientID, applicationFields: fieldsOfApplication(p), RegisteredBy: or(p.Registration.Kind, "admin"),
		CreatedAt: p.Created, UpdatedAt: p.Updated,
	}
}

type listApplicationsIn struct {
	pageIn
	Name     string `query:"name" max:"200" doc:"Only those whose name or label contains this, in any case."`
	ClientID string `query:"client_id" max:"2000" doc:"Only the one that calls itself so."`
	Tag      string `query:"tag" max:"64" doc:"Only those with this tag."`
	Type     string `query:"type" enum:"oidc|spa" doc:"Only those of this type."`
}

func (in *listApplicationsIn) fits(p *federation.Application) bool {
	contains := func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(in.Name)) }
	return (in.Name == "" || contains(p.Name) || contains(p.FriendlyName)) && (in.ClientID == "" || p.ClientID == in.ClientID) &&
		(in.Tag == "" || slices.Contains(p.Tags, in.Tag)) && (in.Type == "" || p.Type == in.Type)
}

func (a *api) listApplications(c *call, in *listApplicationsIn) (*page[application], error) {
	var rows []federation.Application
	var used map[string]*time.Time
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = federation.Find(tx, c.Tenant.ID, in.After, in.Count(), in.fits)
		if err == nil {
			used, err = lastUsed(tx, rows)
		}
		return err
	})
	return show(rows, next, func(p *federation.Application) application {
		out := showApplication(p)
		out.LastUsed = used[p.ID]
		return out
	}), err
}

// lastUsed is when each application was last given tokens, by its ID; none: never.
func lastUsed(tx *fsm.Tx, rows []federation.Application) (map[string]*time.Time, error) {
	used := map[string]*time.Time{}
	for i := range rows {
		at, err := federation.LastUsed(tx, rows[i].Tenant, rows[i].ID)
		if err != nil {
			return nil, err
		}
		if !at.IsZero() {
			used[rows[i].ID] = &at
		}
	}
	return used, nil
}

func (a *api) getApplication(c *call, in *byID) (*application, error) {
	return a.readApplication(c, in.ID, "")
}

func (a *api) readApplication(c *call, id, secret string) (*application, error) {
	var out application
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		p, rev, err := federation.Get(tx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		used, err := lastUsed(tx, []federation.Application{*p})
		if err != nil {
			return err
		}
		out = showApplication(p)
		out.ClientSecret, out.LastUsed = secret, used[p.ID]
		out.Warnings, err = warningsOf(tx, p)
		c.Revision(rev)
		return err
	})
	return &out, err
}

type createApplicationIn struct{ Body change[applicationFields] }

func (a *api) createApplication(c *call, in *createApplicationIn) (*application, error) {
	f, err := in.Body.Onto(newApplication, newApplication)
	if err != nil {
		return nil, err
	}
	made := func() *federation.Application {
		p := &federation.Application{Tenant: c.Tenant.ID}
		f.onto(p)
		return p
	}
	if err := a.prepare(c, &federation.Application{}, made()); err != nil {
		return nil, err
	}
	var id, secret string
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) (err error) {
		p := made()
		secret, err = federation.Create(tx, a.cfg.Ring, p, "")
		id = p.ID
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("applications", id)
	return a.readApplication(c, id, secret)
}

// prepare does what cannot be done within a transaction before p takes the place of old:
// it asks whether all members know such settings, and looks at what URLs lead to.
func (a *api) prepare(c *call, old, p *federation.Application) error {
	if p.Modern() && !old.Modern() && a.cfg.Modern != nil {
		if err := a.cfg.Modern(c.Ctx); err != nil {
			return err
		}
	}
	if p.AsksForMFA() && p.MFAPolicy != old.MFAPolicy && a.cfg.Factors != nil {
		if err := a.cfg.Factors(c.Ctx, p.MFAPolicy); err != nil {
			return err
		}
	}
	return register.CheckURLs(c.Ctx, a.cfg.Fetch, old, p)
}

type changeApplicationIn struct {
	byID
	Body change[applicationFields]
}

func (in *changeApplicationIn) apply(p *federation.Application) error {
	initial := newApplication
	initial.IsPublic = p.IsPublic
	f, err := in.Body.Onto(fieldsOfApplication(p), initial)
	if err != nil {
		return err
	}
	f.onto(p)
	return nil
}

func (a *api) changeApplication(c *call, in *changeApplicationIn) (*application, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	var old, p *federation.Application
	err = a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		if old, _, err = federation.Get(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		copied := *old // apply sets fields anew and changes no list in place
		p = &copied
		return in.apply(p)
	})
	if err != nil {
		return nil, err
	}
	if err := a.prepare(c, old, p); err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, c.Tenant.ID, in.ID, rev, in.apply)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readApplication(c, in.ID, "")
}

func (a *api) deleteApplication(c *call, in *byID) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return federation.Delete(tx, c.Tenant.ID, in.ID, rev)
	})
}
