package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// PrefixServer begins the IDs of resource servers.
const PrefixServer = "res"

// FormatJWT is the one format of access tokens there is (RFC 9068).
const FormatJWT = "jwt"

// A Server is an API that access tokens are for: the audience that they name.
type Server struct {
	ID          string       `cbor:"1,keyasint,omitempty"`
	Tenant      string       `cbor:"2,keyasint,omitempty"`
	Identifier  string       `cbor:"3,keyasint,omitempty"` // absolute URI: parameter resource, claim aud; never changes
	Name        string       `cbor:"4,keyasint,omitempty"`
	Description string       `cbor:"5,keyasint,omitempty"`
	TokenFormat string       `cbor:"6,keyasint,omitempty"` // FormatJWT
	TokenExpiry int64        `cbor:"7,keyasint,omitempty"` // seconds; 0: the application's
	SigningAlg  string       `cbor:"8,keyasint,omitempty"` // "": the application's
	SkipConsent bool         `cbor:"9,keyasint,omitempty"` // what belongs to it is granted without asking
	OpenToAll   bool         `cbor:"10,keyasint,omitempty"`
	Allowed     []string     `cbor:"11,keyasint,omitempty"` // IDs of the applications that may ask for it, unless OpenToAll
	Application string       `cbor:"12,keyasint,omitempty"` // ID of the application that it is, and that may introspect its tokens
	Details     []DetailType `cbor:"13,keyasint,omitempty"` // authorization details that it understands
	Disabled    bool         `cbor:"14,keyasint,omitempty"` // nobody is given tokens for it
	Created     time.Time    `cbor:"15,keyasint,omitempty"`
	Updated     time.Time    `cbor:"16,keyasint,omitempty"`
}

var (
	servers = fsm.NewTable(103, "resource_servers", fsm.Spec[Server]{
		Scope: func(s *Server) fsm.Scope { return fsm.Scope(s.Tenant) },
		Key:   func(s *Server) fsm.Key { return fsm.K(s.ID) },
	})
	serversByIdentifier = servers.Unique(1, "identifier", func(s *Server) []fsm.Key { return []fsm.Key{fsm.K(s.Identifier)} })
	// A type has one meaning in a tenant: that of the one server that registers it.
	serversByDetail = servers.Unique(2, "detail_type", func(s *Server) []fsm.Key {
		var keys []fsm.Key
		for _, d := range s.Details {
			keys = append(keys, fsm.K(d.Name))
		}
		return keys
	})
)

// CreateServer registers a resource server; ID and times are set here. It reports
// identity.ErrInvalid naming the field, or fsm.ErrExists if its identifier or one of its
// types of authorization details is taken.
func CreateServer(tx *fsm.Tx, s Server) (*Server, error) {
	s.ID = identity.NewID(PrefixServer)
	if err := s.check(tx); err != nil {
		return nil, err
	}
	if err := s.free(tx); err != nil {
		return nil, err
	}
	s.Created, s.Updated = tx.Now(), tx.Now()
	if err := servers.Insert(tx, &s); err != nil {
		return nil, err
	}
	return &s, tell(tx, s.Tenant, event.ResourceCreated, s.target(), event.Diff((&Server{}).fields(), s.fields()))
}

// GetServer returns a resource server and its revision, or fsm.ErrNotFound.
func GetServer(tx *fsm.Tx, tenant, id string) (*Server, uint64, error) {
	s, rev, err := servers.GetRev(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil {
		return nil, 0, fmt.Errorf("resource server: %w", err)
	}
	return s, rev, nil
}

// ByIdentifier returns the resource server that tokens name by this URI, byte for byte, or fsm.ErrNotFound.
func ByIdentifier(tx *fsm.Tx, tenant, identifier string) (*Server, error) {
	return serversByIdentifier.Get(tx, fsm.Scope(tenant), fsm.K(identifier))
}

// ListServers returns a page of a tenant's resource servers, oldest first, and the cursor of the next page.
func ListServers(tx *fsm.Tx, tenant, after string, limit int) ([]Server, string, error) {
	return pageOf(servers, tx, tenant, after, limit)
}

// UpdateServer lets change edit the resource server at revision rev (0: any); see UpdateScope.
// Its identifier stays: tokens that are on their way name it.
func UpdateServer(tx *fsm.Tx, tenant, id string, rev uint64, change func(*Server) error) (*Server, error) {
	old, at, err := GetServer(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	s := *old
	s.Allowed, s.Details = slices.Clone(old.Allowed), slices.Clone(old.Details)
	if err := change(&s); err != nil {
		return nil, err
	}
	if s.Identifier != old.Identifier {
		return nil, identity.Invalid("identifier", "is decided once; create a new resource server")
	}
	s.ID, s.Tenant, s.Created, s.Updated = old.ID, old.Tenant, old.Created, tx.Now()
	if err := s.check(tx); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), s.fields())
	if len(changes) == 0 {
		return old, nil
	}
	if err := s.free(tx); err != nil {
		return nil, err
	}
	if err := servers.Put(tx, &s); err != nil {
		return nil, err
	}
	return &s, tell(tx, tenant, event.ResourceUpdated, s.target(), changes)
}

// DeleteServer removes the resource server at revision rev (0: any): nobody is given
// tokens for it any more, those on their way run out. It is refused while scopes belong to it.
func DeleteServer(tx *fsm.Tx, tenant, id string, rev uint64) error {
	s, at, err := GetServer(tx, tenant, id)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	names, err := ScopesOf(tx, tenant, id)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return identity.Invalid("id", fmt.Sprintf("these scopes belong to it: %s; delete them or move them elsewhere first",
			identity.Printable(strings.Join(names, " "), maxText)))
	}
	if err := servers.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	return tell(tx, tenant, event.ResourceDeleted, s.target(), nil)
}

// free reports fsm.ErrExists, naming the field, if another server has what must be one's own.
func (s *Server) free(tx *fsm.Tx) error {
	taken := func(index *fsm.Index[Server], key string) (bool, error) {
		other, err := index.Get(tx, fsm.Scope(s.Tenant), fsm.K(key))
		if errors.Is(err, fsm.ErrNotFound) {
			return false, nil
		}
		return err == nil && other.ID != s.ID, err
	}
	is, err := taken(serversByIdentifier, s.Identifier)
	if is {
		err = identity.Exists("identifier", "another resource server has this identifier")
	}
	if err != nil {
		return err
	}
	for _, d := range s.Details {
		is, err := taken(serversByDetail, d.Name)
		if is {
			err = identity.Exists("authorization_details", fmt.Sprintf("type %q belongs to another resource server", d.Name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pageOf returns a page of a table's rows. limit is at most 500; 0 means 50.
func pageOf[T any](table *fsm.Table[T], tx *fsm.Tx, tenant, after string, limit int) ([]T, string, error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	var page []T
	for row, err := range table.List(tx, fsm.Scope(tenant), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit {
			return page, table.Cursor(&page[limit-1]), nil
		}
		page = append(page, *row)
	}
	return page, "", nil
}
