package oauth

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) registration() []route {
	return []route{
		{Method: "GET", Path: "/registration/policy", Op: "getRegistrationPolicy", Summary: "What applications may register by themselves.", Tagged: true, Do: handle(a.getPolicy)},
		{Method: "PUT", Path: "/registration/policy", Op: "setRegistrationPolicy", Summary: "Decide what applications may register by themselves.", Do: handle(a.setPolicy)},
		{Method: "GET", Path: "/registration/tokens", Op: "listRegistrationTokens", Summary: "List the initial access tokens, without their values.", Do: handle(a.listTokens)},
		{Method: "POST", Path: "/registration/tokens", Op: "createRegistrationToken", Summary: "Make an initial access token. Its value is in this answer only.", Status: http.StatusCreated, Do: handle(a.createToken)},
		{Method: "DELETE", Path: "/registration/tokens/{id}", Op: "deleteRegistrationToken", Summary: "End an initial access token.", Do: handle(a.deleteToken)},
	}
}

type registrationPolicy struct {
	Mode            string   `json:"mode" enum:"closed|token|open" default:"closed" example:"token" doc:"Who may register: nobody, whoever has an initial access token, or everybody."`
	Scopes          []string `json:"scopes" max:"100" item_max:"100" doc:"Scopes that may be registered; none: openid, profile, email, offline_access."`
	GrantTypes      []string `json:"grant_types" max:"10" item_max:"100" doc:"Grant types that may be registered; none: authorization_code, refresh_token."`
	RedirectHosts   []string `json:"redirect_hosts" max:"100" item_max:"253" example:"app.example.com .apps.example.com localhost" doc:"Hosts that redirect URIs may lead to; none: any. .example.com stands for all below it, localhost for loopback."`
	MaxApplications int64    `json:"max_applications" min:"0" max:"100000" doc:"How many may have registered themselves; 0: 100."`
	UnusedDays      int64    `json:"unused_days" min:"0" max:"3650" doc:"Days after which one that nobody has allowed anything ends; 0: 30."`
	ConsentMode     string   `json:"consent_mode" enum:"explicit|always" default:"explicit" doc:"How people are asked."`
	Documents       bool     `json:"metadata_documents" doc:"Whether a client_id may be the URL of a client metadata document."`
	DocumentHosts   []string `json:"document_hosts" max:"100" item_max:"253" doc:"Hosts of such documents; none: any."`
}

func (a *api) getPolicy(c *call, _ *none) (*registrationPolicy, error) {
	var p *register.Policy
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		var rev uint64
		p, rev, err = register.GetPolicy(tx, c.Tenant.ID)
		c.Revision(rev)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &registrationPolicy{
		Mode: or(p.Mode, register.Closed), Scopes: list(p.AllowedScopes()), GrantTypes: list(p.AllowedGrants()), RedirectHosts: list(p.Hosts),
		MaxApplications: int64(p.MaxApplications()), UnusedDays: p.Unused, ConsentMode: or(p.Consent, federation.ConsentExplicit),
		Documents: p.Documents, DocumentHosts: list(p.DocumentHosts),
	}, nil
}

type setPolicyIn struct{ Body registrationPolicy }

func (a *api) setPolicy(c *call, in *setPolicyIn) (*registrationPolicy, error) {
	if a.cfg.Modern != nil {
		if err := a.cfg.Modern(c.Ctx); err != nil {
			return nil, err
		}
	}
	b := &in.Body
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return register.SetPolicy(tx, register.Policy{
			Tenant: c.Tenant.ID, Mode: b.Mode, Scopes: b.Scopes, Grants: b.GrantTypes, Hosts: b.RedirectHosts, Max: b.MaxApplications, Unused: b.UnusedDays,
			Consent: unless(b.ConsentMode, federation.ConsentExplicit), Documents: b.Documents, DocumentHosts: b.DocumentHosts,
		})
	})
	if err != nil {
		return nil, err
	}
	return a.getPolicy(c, &none{})
}

type registrationToken struct {
	ID        string    `json:"id" example:"iat_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"iat_…"`
	Token     string    `json:"token,omitempty" doc:"Only in the answer that made it."`
	Name      string    `json:"name" example:"CI" doc:"What it is for."`
	Uses      int64     `json:"uses" doc:"How many applications may be registered with it."`
	Used      int64     `json:"used" doc:"How many have been."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends."`
}

func showToken(t *register.InitialToken) registrationToken {
	return registrationToken{ID: t.ID, Name: t.Name, Uses: t.Uses, Used: t.Used, CreatedAt: t.Created, ExpiresAt: t.Expires}
}

func (a *api) listTokens(c *call, _ *none) (*page[registrationToken], error) {
	var rows []register.InitialToken
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, err = register.ListTokens(tx, c.Tenant.ID)
		return err
	})
	return show(rows, "", showToken), err
}

type registrationTokenOptions struct {
	Name      string `json:"name" required:"true" min:"1" max:"200" example:"CI" doc:"What it is for."`
	Uses      int64  `json:"uses" min:"1" max:"10000" default:"1" doc:"How many applications may be registered with it."`
	ExpiresIn int64  `json:"expires_in" min:"60" max:"31536000" default:"86400" doc:"Seconds that it is good."`
}

type createTokenIn struct {
	Body change[registrationTokenOptions]
}

func (a *api) createToken(c *call, in *createTokenIn) (*registrationToken, error) {
	standard := registrationTokenOptions{Uses: 1, ExpiresIn: 86400}
	o, err := in.Body.Onto(standard, standard)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	var out registrationToken
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		t, value, err := register.CreateToken(tx, a.cfg.Ring, c.Tenant.ID, o.Name, o.Uses, time.Duration(o.ExpiresIn)*time.Second)
		if err != nil {
			return err
		}
		out = showToken(t)
		out.Token = value
		return nil
	})
	c.Location("registration", "tokens", out.ID)
	return &out, err
}

func (a *api) deleteToken(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return register.DeleteToken(tx, c.Tenant.ID, in.ID) })
}
