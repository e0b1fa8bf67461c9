package directory

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// A Group is a named set of users of one tenant.
type Group struct {
	ID          string    `cbor:"1,keyasint,omitempty"`
	Tenant      string    `cbor:"2,keyasint,omitempty"`
	Name        string    `cbor:"3,keyasint,omitempty"` // unique without regard to case; what applications see
	Description string    `cbor:"4,keyasint,omitempty"`
	Created     time.Time `cbor:"5,keyasint,omitempty"`
	Updated     time.Time `cbor:"6,keyasint,omitempty"`
}

var (
	groups = fsm.NewTable(42, "groups", fsm.Spec[Group]{
		Scope: func(g *Group) fsm.Scope { return fsm.Scope(g.Tenant) },
		Key:   func(g *Group) fsm.Key { return fsm.K(g.ID) },
	})
	groupsByName = groups.Unique(1, "name", func(g *Group) []fsm.Key { return keyOf(nameKey(g.Name)) })
)

// CreateGroup adds g to its tenant; ID and times are set here. It reports
// identity.ErrInvalid, fsm.ErrExists if the name is taken, and fsm.ErrNotFound if
// there is no such tenant.
func CreateGroup(tx *fsm.Tx, tenant string, g Group) (*Group, error) {
	if err := tenantExists(tx, tenant); err != nil {
		return nil, err
	}
	g.ID, g.Tenant = identity.NewID(identity.PrefixGroup), tenant
	g.Created, g.Updated = tx.Now(), tx.Now()
	if err := g.check(); err != nil {
		return nil, err
	}
	if err := groupFree(tx, &g); err != nil {
		return nil, err
	}
	if err := groups.Insert(tx, &g); err != nil {
		return nil, err
	}
	return &g, event.Append(tx, event.Event{
		Tenant: tenant, Type: event.GroupCreated, Target: g.target(), Changes: event.Diff((&Group{}).fields(), g.fields()),
	})
}

// GetGroup returns a group and its revision, or fsm.ErrNotFound.
func GetGroup(tx *fsm.Tx, tenant, id string) (*Group, uint64, error) {
	return groups.GetRev(tx, fsm.Scope(tenant), fsm.K(id))
}

// GroupByName returns the group of that name without regard to case, or fsm.ErrNotFound.
func GroupByName(tx *fsm.Tx, tenant, name string) (*Group, error) {
	key := nameKey(cleanName(name))
	if key == "" {
		return nil, fsm.ErrNotFound
	}
	return groupsByName.Get(tx, fsm.Scope(tenant), fsm.K(key))
}

// ListGroups returns a page of groups by name, those beginning with prefix, and the
// cursor of the next page.
func ListGroups(tx *fsm.Tx, tenant, prefix, after string, limit int) ([]Group, string, error) {
	p, err := newPage[Group](after, limit)
	if err != nil {
		return nil, "", err
	}
	opts := []fsm.ListOption{fsm.Prefix(fsm.Key(searchKey(prefix))), fsm.After(after)}
	err = p.fill(groupsByName.List(tx, fsm.Scope(tenant), opts...), groupsByName.Cursor)
	return p.rows, p.next, err
}

// UpdateGroup lets change edit the group at revision rev (0: any); see UpdateUser.
func UpdateGroup(tx *fsm.Tx, tenant, id string, rev uint64, change func(*Group) error) (*Group, error) {
	old, at, err := GetGroup(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	g := *old
	if err := change(&g); err != nil {
		return nil, err
	}
	g.ID, g.Tenant, g.Created, g.Updated = old.ID, old.Tenant, old.Created, tx.Now()
	if err := g.check(); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), g.fields())
	if len(changes) == 0 {
		return old, nil
	}
	if err := groupFree(tx, &g); err != nil {
		return nil, err
	}
	if err := groups.Put(tx, &g); err != nil {
		return nil, err
	}
	return &g, event.Append(tx, event.Event{Tenant: tenant, Type: event.GroupUpdated, Target: g.target(), Changes: changes})
}

// DeleteGroup removes the group at revision rev (0: any) and its memberships.
func DeleteGroup(tx *fsm.Tx, tenant, id string, rev uint64) error {
	g, at, err := GetGroup(tx, tenant, id)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	if err := groups.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	if err := leaveBehind(tx, remain{Tenant: tenant, Group: id}); err != nil {
		return err
	}
	return event.Append(tx, event.Event{Tenant: tenant, Type: event.GroupDeleted, Target: g.target()})
}

func (g *Group) target() event.Target {
	return event.Target{Kind: "group", ID: g.ID, Name: g.Name}
}

func (g *Group) fields() []field {
	return []field{{"name", g.Name}, {"description", g.Description}}
}

func (g *Group) check() error {
	var errs []error
	g.Name, g.Description = cleanName(g.Name), cleanName(g.Description)
	if g.Name == "" || len(g.Name) > maxName {
		errs = append(errs, identity.Invalid("name", "must be 1 to 200 characters long"))
	}
	if len(g.Description) > maxDescription {
		errs = append(errs, identity.Invalid("description", "is too long"))
	}
	return errors.Join(errs...)
}

func groupFree(tx *fsm.Tx, g *Group) error {
	other, err := GroupByName(tx, g.Tenant, g.Name)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && other.ID == g.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return identity.Exists("name", "is taken by another group")
}
