package oauth

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) scopes() []route {
	return []route{
		{Method: "GET", Path: "/scopes", Op: "listScopes", Summary: "List the registered scopes by name. Those that quis itself gives a meaning (openid, profile, email, groups, roles, offline_access) are not among them; each can be got.", Do: handle(a.listScopes)},
		{Method: "POST", Path: "/scopes", Op: "createScope", Summary: "Register a scope.", Status: http.StatusCreated, Tagged: true, Do: handle(a.createScope)},
		{Method: "GET", Path: "/scopes/{name}", Op: "getScope", Summary: "Get a scope.", Tagged: true, Do: handle(a.getScope)},
		{Method: "PUT", Path: "/scopes/{name}", Op: "replaceScope", Summary: "Replace what can be set of a scope.", Tagged: true, Do: handle(a.changeScope)},
		{Method: "PATCH", Path: "/scopes/{name}", Op: "updateScope", Summary: "Change what is mentioned of a scope.", Tagged: true, Do: handle(a.changeScope)},
		{Method: "DELETE", Path: "/scopes/{name}", Op: "deleteScope", Summary: "Delete a scope. Applications that may ask for it still may; nobody is told any more what it means.", Tagged: true, Do: handle(a.deleteScope)},
	}
}

type scopeFields struct {
	FriendlyName     string            `json:"friendly_name" max:"200" example:"Read orders" doc:"A few words, for administrators."`
	Texts            map[string]string `json:"texts" doc:"What a person allows, in plain words, by language tag; en is the fallback."`
	Sensitive        bool              `json:"sensitive" doc:"Whether it is pointed out to whoever is asked."`
	Implied          bool              `json:"implied" doc:"Whether it is granted without asking anybody."`
	Optional         bool              `json:"optional" doc:"Whether a person may allow the rest without it."`
	Claims           []string          `json:"claims" max:"50" item_max:"100" example:"customer_number" doc:"Claims that it stands for; who asks for one of them by name is not asked about twice."`
	ResourceServerID string            `json:"resource_server_id" max:"64" doc:"Resource server that it belongs to; tokens for other resource servers do not carry it. Empty: to none in particular."`
}

func fieldsOfScope(s *resource.Scope) scopeFields {
	return scopeFields{
		FriendlyName: s.FriendlyName, Texts: texts(s.Texts), Sensitive: s.Sensitive, Implied: s.Implied, Optional: s.Optional,
		Claims: list(s.Claims), ResourceServerID: s.Resource,
	}
}

func (f scopeFields) onto(s *resource.Scope) {
	s.FriendlyName, s.Texts, s.Sensitive, s.Implied, s.Optional = f.FriendlyName, f.Texts, f.Sensitive, f.Implied, f.Optional
	s.Claims, s.Resource = f.Claims, f.ResourceServerID
}

// texts copies texts, and is {} in JSON where there are none.
func texts(x resource.Texts) map[string]string {
	c := map[string]string{}
	for lang, text := range x {
		c[lang] = text
	}
	return c
}

type newScope struct {
	Name string `json:"name" required:"true" min:"1" max:"100" example:"orders:read" doc:"What applications ask for; never changes."`
	scopeFields
}

type scope struct {
	Name    string `json:"name" example:"orders:read" doc:"What applications ask for."`
	BuiltIn bool   `json:"built_in" doc:"Whether quis itself gives it its meaning; then it cannot be changed."`
	scopeFields
	CreatedAt *time.Time `json:"created_at,omitempty" doc:"When it was registered."`
	UpdatedAt *time.Time `json:"updated_at,omitempty" doc:"When it last changed."`
}

func showScope(s *resource.Scope) scope {
	out := scope{Name: s.Name, BuiltIn: s.BuiltIn, scopeFields: fieldsOfScope(s)}
	if !s.BuiltIn {
		out.CreatedAt, out.UpdatedAt = &s.Created, &s.Updated
	}
	return out
}

type byName struct {
	Name string `path:"name" min:"1" max:"100" doc:"Name of the scope."`
}

func (a *api) listScopes(c *call, in *pageIn) (*page[scope], error) {
	var rows []resource.Scope
	var next string
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = resource.ListScopes(tx, c.Tenant.ID, in.After, in.Count())
		return err
	})
	return show(rows, next, showScope), err
}

func (a *api) getScope(c *call, in *byName) (*scope, error) { return a.readScope(c, in.Name) }

func (a *api) readScope(c *call, name string) (*scope, error) {
	var out scope
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		s, rev, err := resource.GetScope(tx, c.Tenant.ID, name)
		if err != nil {
			return err
		}
		if out = showScope(s); rev > 0 {
			c.Revision(rev)
		}
		return nil
	})
	return &out, err
}

type createScopeIn struct{ Body newScope }

func (a *api) createScope(c *call, in *createScopeIn) (*scope, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		s := resource.Scope{Tenant: c.Tenant.ID, Name: in.Body.Name}
		in.Body.onto(&s)
		_, err := resource.CreateScope(tx, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("scopes", in.Body.Name)
	return a.readScope(c, in.Body.Name)
}

type changeScopeIn struct {
	byName
	Body change[scopeFields]
}

func (a *api) changeScope(c *call, in *changeScopeIn) (*scope, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		_, err := resource.UpdateScope(tx, c.Tenant.ID, in.Name, rev, func(s *resource.Scope) error {
			f, err := in.Body.Onto(fieldsOfScope(s), scopeFields{})
			f.onto(s)
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readScope(c, in.Name)
}

func (a *api) deleteScope(c *call, in *byName) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return resource.DeleteScope(tx, c.Tenant.ID, in.Name, rev) })
}
