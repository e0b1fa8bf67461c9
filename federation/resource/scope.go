package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

const (
	maxClaims      = 50
	maxClaim       = 100  // bytes of a claim's name
	maxScopesKept  = 1000 // scopes of one tenant
	maxDescription = 2000
)

// A Scope is something that an application may be allowed to do or to know (RFC 6749,
// section 3.3), with what it means for the person who is asked.
type Scope struct {
	Tenant       string `cbor:"1,keyasint,omitempty"`
	Name         string `cbor:"2,keyasint,omitempty"` // on the wire; never changes
	FriendlyName string `cbor:"3,keyasint,omitempty"` // a few words, for administrators
	Texts        Texts  `cbor:"4,keyasint,omitempty"` // what a person allows, in plain words
	Sensitive    bool   `cbor:"5,keyasint,omitempty"` // is pointed out to whoever is asked
	Implied      bool   `cbor:"6,keyasint,omitempty"` // granted without asking anybody
	Optional     bool   `cbor:"7,keyasint,omitempty"` // a person may allow the rest without it
	// Claims are the claims that it stands for; which value they have is the claim mappings' to say.
	Claims   []string  `cbor:"8,keyasint,omitempty"`
	Resource string    `cbor:"9,keyasint,omitempty"` // ID of the resource server it belongs to; empty: to none in particular
	Created  time.Time `cbor:"10,keyasint,omitempty"`
	Updated  time.Time `cbor:"11,keyasint,omitempty"`

	BuiltIn bool `cbor:"-"` // one of our own; cannot be changed
}

var (
	scopes = fsm.NewTable(102, "scopes", fsm.Spec[Scope]{
		Scope: func(s *Scope) fsm.Scope { return fsm.Scope(s.Tenant) },
		Key:   func(s *Scope) fsm.Key { return fsm.K(s.Name) },
	})
	scopesByResource = scopes.Index(1, "resource", func(s *Scope) []fsm.Key {
		if s.Resource == "" {
			return nil
		}
		return []fsm.Key{fsm.K(s.Resource)}
	})
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{scopes, servers}

// CreateScope registers a scope; its times are set here. It reports
// identity.ErrInvalid naming the field, or fsm.ErrExists if the name is taken.
func CreateScope(tx *fsm.Tx, s Scope) (*Scope, error) {
	if err := s.check(tx); err != nil {
		return nil, err
	}
	n := 0
	for _, err := range scopes.List(tx, fsm.Scope(s.Tenant)) {
		if err != nil {
			return nil, err
		}
		if n++; n >= maxScopesKept {
			return nil, identity.Invalid("name", fmt.Sprintf("there are %d scopes already, which is as many as there may be", n))
		}
	}
	s.Created, s.Updated = tx.Now(), tx.Now()
	err := scopes.Insert(tx, &s)
	if errors.Is(err, fsm.ErrExists) {
		return nil, identity.Exists("name", "there is a scope of this name")
	}
	if err != nil {
		return nil, err
	}
	return &s, tell(tx, s.Tenant, event.ScopeCreated, s.target(), event.Diff((&Scope{}).fields(), s.fields()))
}

// GetScope returns a registered scope and its revision, or one of our own with revision
// 0; else fsm.ErrNotFound.
func GetScope(tx *fsm.Tx, tenant, name string) (*Scope, uint64, error) {
	if s, ok := own(tenant, name); ok {
		return s, 0, nil
	}
	s, rev, err := scopes.GetRev(tx, fsm.Scope(tenant), fsm.K(name))
	if err != nil {
		return nil, 0, fmt.Errorf("scope: %w", err)
	}
	return s, rev, nil
}

// Describe returns the scope of that name; for one that nobody has registered, which an
// application may still have among its allowed scopes, a stand-in with its bare name.
func Describe(tx *fsm.Tx, tenant, name string) (*Scope, error) {
	s, _, err := GetScope(tx, tenant, name)
	if errors.Is(err, fsm.ErrNotFound) {
		return &Scope{Tenant: tenant, Name: name, FriendlyName: name}, nil
	}
	return s, err
}

func own(tenant, name string) (*Scope, bool) {
	s, ok := builtIn[name]
	s.Tenant, s.Name, s.BuiltIn = tenant, name, true
	return &s, ok
}

// BuiltIn returns the scopes that quis itself gives a meaning, by name.
func BuiltIn(tenant string) []Scope {
	var all []Scope
	for _, name := range []string{
		federation.ScopeOpenID, federation.ScopeProfile, federation.ScopeEmail, federation.ScopeGroups, federation.ScopeRoles, federation.ScopeOffline,
	} {
		s, _ := own(tenant, name)
		all = append(all, *s)
	}
	return all
}

// ListScopes returns a page of a tenant's registered scopes by name, and the cursor of the next page.
func ListScopes(tx *fsm.Tx, tenant, after string, limit int) ([]Scope, string, error) {
	return pageOf(scopes, tx, tenant, after, limit)
}

// ScopesOf returns the names of the scopes that belong to a resource server.
func ScopesOf(tx *fsm.Tx, tenant, server string) ([]string, error) {
	var names []string
	for s, err := range scopesByResource.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(server))) {
		if err != nil {
			return nil, err
		}
		names = append(names, s.Name)
	}
	return names, nil
}

// UpdateScope lets change edit the scope at revision rev (0: any); a change that changes
// nothing writes nothing. Its name and times are not its to change. Errors are those of
// CreateScope, fsm.ErrNotFound and identity.ErrPrecondition.
func UpdateScope(tx *fsm.Tx, tenant, name string, rev uint64, change func(*Scope) error) (*Scope, error) {
	old, at, err := GetScope(tx, tenant, name)
	if err != nil {
		return nil, err
	}
	if old.BuiltIn {
		return nil, errBuiltIn
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	s := *old
	s.Claims, s.Texts = slices.Clone(old.Claims), cloneTexts(old.Texts)
	if err := change(&s); err != nil {
		return nil, err
	}
	s.Tenant, s.Name, s.Created, s.Updated, s.BuiltIn = old.Tenant, old.Name, old.Created, tx.Now(), false
	if err := s.check(tx); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), s.fields())
	if len(changes) == 0 {
		return old, nil
	}
	if err := scopes.Put(tx, &s); err != nil {
		return nil, err
	}
	return &s, tell(tx, tenant, event.ScopeUpdated, s.target(), changes)
}

// DeleteScope removes the scope at revision rev (0: any). Applications that have it among
// their allowed scopes keep it there, without its words.
func DeleteScope(tx *fsm.Tx, tenant, name string, rev uint64) error {
	s, at, err := GetScope(tx, tenant, name)
	if err != nil {
		return err
	}
	if s.BuiltIn {
		return errBuiltIn
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	if err := scopes.Delete(tx, fsm.Scope(tenant), fsm.K(name)); err != nil {
		return err
	}
	return tell(tx, tenant, event.ScopeDeleted, s.target(), nil)
}

var errBuiltIn = identity.Invalid("name", "is one of the scopes that quis itself gives a meaning, which cannot be changed")

func (s *Scope) check(tx *fsm.Tx) (err error) {
	switch {
	case s.Tenant == "":
		return identity.Invalid("tenant", "must be set")
	case !federation.ValidScope(s.Name):
		return identity.Invalid("name", "must be 1 to 100 printable ASCII characters without space, quote or backslash")
	}
	if _, ok := builtIn[s.Name]; ok {
		return errBuiltIn
	}
	if s.FriendlyName, err = cleanName("friendly_name", s.FriendlyName, false); err != nil {
		return err
	}
	if s.Texts, err = s.Texts.check("texts", !s.Implied); err != nil {
		return err
	}
	if len(s.Claims) > maxClaims {
		return identity.Invalid("claims", fmt.Sprintf("must be at most %d", maxClaims))
	}
	for i, c := range s.Claims {
		if !validMember(c, maxClaim) || slices.Contains(s.Claims[:i], c) {
			return identity.Invalid("claims", fmt.Sprintf("%q is malformed or given twice", identity.Printable(c, 120)))
		}
	}
	if s.Implied && s.Sensitive {
		return identity.Invalid("implied", "a sensitive scope is never granted without asking")
	}
	if s.Resource != "" {
		_, _, err := GetServer(tx, s.Tenant, s.Resource)
		if errors.Is(err, fsm.ErrNotFound) {
			return identity.Invalid("resource_server_id", "there is no such resource server")
		}
		return err
	}
	return nil
}

func cleanName(field, name string, needed bool) (string, error) {
	if len(name) > maxName {
		return "", identity.Invalid(field, fmt.Sprintf("must have at most %d bytes", maxName))
	}
	name = strings.TrimSpace(identity.Printable(name, maxName))
	if needed && name == "" {
		return "", identity.Invalid(field, fmt.Sprintf("must have 1 to %d bytes", maxName))
	}
	return name, nil
}

func cloneTexts(x Texts) Texts {
	c := make(Texts, len(x))
	for k, v := range x {
		c[k] = v
	}
	return c
}
