package oauth

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) resourceServers() []route {
	return []route{
		{Method: "GET", Path: "/resource-servers", Op: "listResourceServers", Summary: "List resource servers, oldest first.", Do: handle(a.listServers)},
		{Method: "POST", Path: "/resource-servers", Op: "createResourceServer", Summary: "Register a resource server: an API that tokens are for.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createServer)},
		{Method: "GET", Path: "/resource-servers/{id}", Op: "getResourceServer", Summary: "Get a resource server.", Tagged: true, Do: handle(a.getServer)},
		{Method: "PUT", Path: "/resource-servers/{id}", Op: "replaceResourceServer", Summary: "Replace what can be set of a resource server.", Tagged: true, Do: handle(a.changeServer)},
		{Method: "PATCH", Path: "/resource-servers/{id}", Op: "updateResourceServer", Summary: "Change what is mentioned of a resource server.", Tagged: true, Do: handle(a.changeServer)},
		{Method: "DELETE", Path: "/resource-servers/{id}", Op: "deleteResourceServer", Summary: "Delete a resource server, to which no scope may belong any more; nobody is given tokens for it from then on.", Tagged: true, Do: handle(a.deleteServer)},
	}
}

type serverFields struct {
	Identifier          string      `json:"identifier" required:"true" min:"1" max:"500" example:"https://orders.example.com" doc:"Absolute URI: what applications name as resource (RFC 8707), and tokens as aud. Never changes."`
	Name                string      `json:"name" required:"true" min:"1" max:"200" example:"Orders" doc:"What people are shown."`
	Description         string      `json:"description" max:"2000" doc:"For people."`
	TokenFormat         string      `json:"token_format" enum:"jwt" default:"jwt" doc:"Tokens are JWTs (RFC 9068); opaque ones are not offered."`
	TokenExpiry         int64       `json:"token_expiry" min:"0" max:"86400" default:"0" doc:"Life of its access tokens in seconds, 60 or more; 0: the application's."`
	SigningAlg          string      `json:"signing_alg" max:"10" doc:"ES256, RS256, PS256 or EdDSA; empty: the application's."`
	SkipConsent         bool        `json:"skip_consent" doc:"Whether what belongs to it is granted without asking anybody."`
	OpenToAll           bool        `json:"open_to_all" doc:"Whether every application may ask for it."`
	AllowedApplications []string    `json:"allowed_applications" max:"200" item_max:"64" doc:"IDs of the applications that may ask for it, unless all may."`
	ApplicationID       string      `json:"application_id" max:"64" doc:"Application that it is, and that may introspect its tokens; must keep a secret. Empty: none may."`
	Details             detailTypes `json:"authorization_details" max:"20" doc:"Types of authorization details (RFC 9396) that it understands."`
	Disabled            bool        `json:"disabled" doc:"Whether nobody is given tokens for it."`
}

type detailType struct {
	Type       string            `json:"type" required:"true" min:"1" max:"100" example:"payment_initiation" doc:"Name of the type; belongs to one resource server."`
	Texts      map[string]string `json:"texts" required:"true" doc:"What a person allows, in plain words, by language tag."`
	Remembered bool              `json:"remembered" doc:"Whether the very same detail, once allowed, is not asked about again."`
	Members    []detailMember    `json:"members" max:"30" doc:"Members that a detail may have beside type; any other is refused."`
}

type detailMember struct {
	memberRule
	Members []innerMember `json:"members,omitempty" max:"30" doc:"Of an object."`
}

type innerMember struct {
	memberRule
	Members []innermostMember `json:"members,omitempty" max:"30" doc:"Of an object."`
}

type innermostMember struct{ memberRule }

type memberRule struct {
	Name     string   `json:"name" required:"true" min:"1" max:"100" example:"creditorName" doc:"Name."`
	Kind     string   `json:"kind" required:"true" enum:"string|number|integer|boolean|strings|object" doc:"What its value is; strings is a list of them."`
	Required bool     `json:"required" doc:"Whether it must be there."`
	Enum     []string `json:"enum,omitempty" max:"50" item_max:"300" doc:"Values that it may have; none: any."`
	Max      int64    `json:"max,omitempty" min:"0" doc:"Most bytes of a string, entries of a list, or the greatest number. 0: 256 bytes, 20 entries, any number."`
	Label    string   `json:"label,omitempty" max:"200" doc:"What a person reads before its value."`
}

// detailTypes are replaced as a whole: encoding/json would lay a list over the one before it.
type detailTypes []detailType

// UnmarshalJSON implements json.Unmarshaler.
func (d *detailTypes) UnmarshalJSON(data []byte) error {
	*d = nil
	return json.Unmarshal(data, (*[]detailType)(d))
}

func fieldsOfServer(s *resource.Server) serverFields {
	f := serverFields{
		Identifier: s.Identifier, Name: s.Name, Description: s.Description, TokenFormat: s.TokenFormat, TokenExpiry: s.TokenExpiry,
		SigningAlg: s.SigningAlg, SkipConsent: s.SkipConsent, OpenToAll: s.OpenToAll, AllowedApplications: list(s.Allowed),
		ApplicationID: s.Application, Details: detailTypes{}, Disabled: s.Disabled,
	}
	for _, d := range s.Details {
		t := detailType{Type: d.Name, Texts: texts(d.Texts), Remembered: d.Remembered, Members: []detailMember{}}
		for _, m := range d.Members {
			outer := detailMember{memberRule: ruleOf(m)}
			for _, m := range m.Members {
				inner := innerMember{memberRule: ruleOf(m)}
				for _, m := range m.Members {
					inner.Members = append(inner.Members, innermostMember{ruleOf(m)})
				}
				outer.Members = append(outer.Members, inner)
			}
			t.Members = append(t.Members, outer)
		}
		f.Details = append(f.Details, t)
	}
	return f
}

func ruleOf(m resource.Member) memberRule {
	return memberRule{Name: m.Name, Kind: m.Kind, Required: m.Required, Enum: m.Enum, Max: m.Max, Label: m.Label}
}

func (r memberRule) member() resource.Member {
	return resource.Member{Name: r.Name, Kind: r.Kind, Required: r.Required, Enum: r.Enum, Max: r.Max, Label: r.Label}
}

func (f serverFields) onto(s *resource.Server) {
	s.Identifier, s.Name, s.Description, s.TokenFormat, s.TokenExpiry = f.Identifier, f.Name, f.Description, f.TokenFormat, f.TokenExpiry
	s.SigningAlg, s.SkipConsent, s.OpenToAll, s.Allowed = f.SigningAlg, f.SkipConsent, f.OpenToAll, f.AllowedApplications
	s.Application, s.Disabled, s.Details = f.ApplicationID, f.Disabled, nil
	for _, t := range f.Details {
		d := resource.DetailType{Name: t.Type, Texts: t.Texts, Remembered: t.Remembered}
		for _, outer := range t.Members {
			m := outer.member()
			for _, inner := range outer.Members {
				n := inner.member()
				for _, innermost := range inner.Members {
					n.Members = append(n.Members, innermost.member())
				}
				m.Members = append(m.Members, n)
			}
			d.Members = append(d.Members, m)
		}
		s.Details = append(s.Details, d)
	}
}

type resourceServer struct {
	ID string `json:"id" doc:"res_…"`
	serverFields
	Scopes    []string  `json:"scopes" doc:"Scopes that belong to it."`
	CreatedAt time.Time `json:"created_at" doc:"When it was registered."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

func showServer(s *resource.Server, scopes []string) resourceServer {
	return resourceServer{ID: s.ID, serverFields: fieldsOfServer(s), Scopes: list(scopes), CreatedAt: s.Created, UpdatedAt: s.Updated}
}

func (a *api) listServers(c *call, in *pageIn) (*page[resourceServer], error) {
	var rows []resourceServer
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		var all []resource.Server
		if all, next, err = resource.ListServers(tx, c.Tenant.ID, in.After, in.Count()); err != nil {
			return err
		}
		rows = nil
		for i := range all {
			scopes, err := resource.ScopesOf(tx, c.Tenant.ID, all[i].ID)
			if err != nil {
				return err
			}
			rows = append(rows, showServer(&all[i], scopes))
		}
		return nil
	})
	return show(rows, next, func(s *resourceServer) resourceServer { return *s }), err
}

func (a *api) getServer(c *call, in *byID) (*resourceServer, error) { return a.readServer(c, in.ID) }

func (a *api) readServer(c *call, id string) (*resourceServer, error) {
	var out resourceServer
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		s, rev, err := resource.GetServer(tx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		scopes, err := resource.ScopesOf(tx, c.Tenant.ID, id)
		out = showServer(s, scopes)
		c.Revision(rev)
		return err
	})
	return &out, err
}

type createServerIn struct{ Body serverFields }

func (a *api) createServer(c *call, in *createServerIn) (*resourceServer, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	var id string
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		s := resource.Server{Tenant: c.Tenant.ID}
		in.Body.onto(&s)
		made, err := resource.CreateServer(tx, s)
		if err == nil {
			id = made.ID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("resource-servers", id)
	return a.readServer(c, id)
}

type changeServerIn struct {
	byID
	Body change[serverFields]
}

func (a *api) changeServer(c *call, in *changeServerIn) (*resourceServer, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		_, err := resource.UpdateServer(tx, c.Tenant.ID, in.ID, rev, func(s *resource.Server) error {
			f, err := in.Body.Onto(fieldsOfServer(s), serverFields{})
			f.onto(s)
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readServer(c, in.ID)
}

func (a *api) deleteServer(c *call, in *byID) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return resource.DeleteServer(tx, c.Tenant.ID, in.ID, rev) })
}
