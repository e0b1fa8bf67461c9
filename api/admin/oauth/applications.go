package oauth

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

func (a *api) applications() []route {
	return []route{
		{Method: "GET", Path: "/applications", Op: "listApplications", Summary: "List applications, oldest first.", Do: handle(a.listApplications)},
		{Method: "POST", Path: "/applications", Op: "createApplication", Summary: "Create an application. The client secret is in this answer only.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createApplication)},
		{Method: "GET", Path: "/applications/{id}", Op: "getApplication", Summary: "Get an application.", Tagged: true, Do: handle(a.getApplication)},
		{Method: "PUT", Path: "/applications/{id}", Op: "replaceApplication", Summary: "Replace what can be set of an application.", Tagged: true, Do: handle(a.changeApplication)},
		{Method: "PATCH", Path: "/applications/{id}", Op: "updateApplication", Summary: "Change what is mentioned of an application.", Tagged: true, Do: handle(a.changeApplication)},
		{Method: "DELETE", Path: "/applications/{id}", Op: "deleteApplication", Summary: "Delete an application; what was granted through it ends.", Tagged: true, Do: handle(a.deleteApplication)},
		{Method: "POST", Path: "/applications/{id}/regenerate-secret", Op: "regenerateSecret", Summary: "Make a new client secret. It is in this answer only.", Tagged: true, Do: handle(a.regenerateSecret)},
	}
}

type applicationFields struct {
	Name                 string   `json:"name" required:"true" min:"1" max:"200" doc:"Name."`
	FriendlyName         string   `json:"friendly_name" max:"200" doc:"Label shown instead of the name."`
	Description          string   `json:"description" max:"2000" doc:"For people."`
	Type                 string   `json:"type" enum:"oidc|spa" default:"oidc" doc:"oidc: runs on a server and keeps a secret; spa: runs in a browser, public."`
	RedirectURIs         []string `json:"redirect_uris" max:"50" item_max:"2000" doc:"Where a person may be sent back to; compared exactly."`
	PostLogoutURIs       []string `json:"post_logout_uris" max:"50" item_max:"2000" doc:"Where a person may be sent after signing out."`
	AllowedScopes        []string `json:"allowed_scopes" max:"100" item_max:"100" doc:"Scopes that it may ask for; by default openid, profile, email, groups."`
	GrantTypes           []string `json:"grant_types" max:"3" item_enum:"authorization_code|refresh_token|client_credentials" doc:"By default authorization_code and refresh_token."`
	IsPublic             bool     `json:"is_public" doc:"Whether it has no secret; decided when it is made."`
	RequirePKCE          bool     `json:"require_pkce" default:"true" doc:"PKCE is required of every application, whatever this says."`
	TokenExpiry          int64    `json:"token_expiry" min:"60" max:"86400" default:"3600" doc:"Life of access and ID tokens in seconds."`
	AccessRestricted     bool     `json:"access_restricted" doc:"Whether only users and groups that were granted access may sign in."`
	ShowInDashboard      bool     `json:"show_in_dashboard" default:"true" doc:"Whether people see it among their applications."`
	LaunchURL            string   `json:"launch_url" max:"2000" doc:"Where the portal leads."`
	AppGroup             string   `json:"app_group" max:"200" doc:"Heading in the portal."`
	IconURL              string   `json:"icon_url" max:"2000" doc:"Icon in the portal."`
	MFAPolicy            string   `json:"mfa_policy" enum:"inherit|disabled|any|otp|passkey" default:"inherit" doc:"Second factor for this application. Only inherit is supported yet."`
	BackchannelLogoutURI string   `json:"backchannel_logout_uri" max:"2000" doc:"Not supported yet: must be empty."`
}

// newApplication is what a whole body is laid over.
var newApplication = applicationFields{
	Type: federation.TypeOIDC, TokenExpiry: federation.DefaultTokenExpiry, RequirePKCE: true, ShowInDashboard: true, MFAPolicy: "inherit",
}

// check refuses what would be a false promise.
func (f applicationFields) check() error {
	if f.MFAPolicy != "inherit" {
		return identity.Invalid("mfa_policy", "only inherit is supported yet")
	}
	if f.BackchannelLogoutURI != "" {
		return identity.Invalid("backchannel_logout_uri", "is not supported yet")
	}
	return nil
}

type application struct {
	ID           string `json:"id" doc:"app_…"`
	ClientID     string `json:"client_id" doc:"What the application calls itself in requests."`
	ClientSecret string `json:"client_secret,omitempty" doc:"Only in the answer that made it."`
	applicationFields
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

func fieldsOfApplication(p *federation.Application) applicationFields {
	return applicationFields{
		Name: p.Name, FriendlyName: p.FriendlyName, Description: p.Description, Type: p.Type,
		RedirectURIs: list(p.RedirectURIs), PostLogoutURIs: list(p.PostLogoutURIs), AllowedScopes: list(p.AllowedScopes), GrantTypes: list(p.GrantTypes),
		IsPublic: p.IsPublic, RequirePKCE: p.RequirePKCE, TokenExpiry: p.TokenExpiry, AccessRestricted: p.AccessRestricted,
		ShowInDashboard: p.ShowInDashboard, LaunchURL: p.LaunchURL, AppGroup: p.AppGroup, IconURL: p.IconURL, MFAPolicy: "inherit",
	}
}

func (f applicationFields) onto(p *federation.Application) {
	p.Name, p.FriendlyName, p.Description, p.Type = f.Name, f.FriendlyName, f.Description, f.Type
	p.RedirectURIs, p.PostLogoutURIs, p.AllowedScopes, p.GrantTypes = f.RedirectURIs, f.PostLogoutURIs, f.AllowedScopes, f.GrantTypes
	p.IsPublic, p.RequirePKCE, p.TokenExpiry, p.AccessRestricted = f.IsPublic, f.RequirePKCE, f.TokenExpiry, f.AccessRestricted
	p.ShowInDashboard, p.LaunchURL, p.AppGroup, p.IconURL = f.ShowInDashboard, f.LaunchURL, f.AppGroup, f.IconURL
}

func showApplication(p *federation.Application) application {
	return application{
		ID: p.ID, ClientID: p.ClientID, applicationFields: fieldsOfApplication(p), CreatedAt: p.Created, UpdatedAt: p.Updated,
	}
}

func (a *api) listApplications(c *call, in *pageIn) (*page[application], error) {
	var rows []federation.Application
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = federation.List(tx, c.Tenant.ID, in.After, in.Count())
		return err
	})
	return show(rows, next, showApplication), err
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
		out = showApplication(p)
		out.ClientSecret = secret
		c.Revision(rev)
		return nil
	})
	return &out, err
}

type createApplicationIn struct{ Body change[applicationFields] }

func (a *api) createApplication(c *call, in *createApplicationIn) (*application, error) {
	f, err := in.Body.Onto(newApplication, newApplication)
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	var id, secret string
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		p := federation.Application{Tenant: c.Tenant.ID}
		f.onto(&p)
		var err error
		secret, err = federation.Create(tx, a.cfg.Ring, &p, "")
		id = p.ID
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("applications", id)
	return a.readApplication(c, id, secret)
}

type changeApplicationIn struct {
	byID
	Body change[applicationFields]
}

func (a *api) changeApplication(c *call, in *changeApplicationIn) (*application, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, c.Tenant.ID, in.ID, rev, func(p *federation.Application) error {
			initial := newApplication
			initial.IsPublic = p.IsPublic
			f, err := in.Body.Onto(fieldsOfApplication(p), initial)
			if err != nil {
				return err
			}
			f.onto(p)
			return f.check()
		})
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

type regenerateOptions struct {
	KeepPrevious bool `json:"keep_previous" doc:"Whether the newest of the former secrets goes on working beside the new one, until the next time. By default all former ones stop at once."`
}

type regenerateIn struct {
	byID
	Body regenerateOptions `required:"false"`
}

func (a *api) regenerateSecret(c *call, in *regenerateIn) (*application, error) {
	var secret string
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) (err error) {
		secret, err = federation.SetSecret(tx, a.cfg.Ring, c.Tenant.ID, in.ID, "", in.Body.KeepPrevious)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readApplication(c, in.ID, secret)
}
