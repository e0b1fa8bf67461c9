package directory

import (
	"errors"
	"strconv"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// Tables are the definitions that a store needs for the directory.
var Tables = []fsm.Definition{tenants, users, groups, members, remains, reindexings}

// A Tenant is a directory of its own with its own issuer, keys and applications.
type Tenant struct {
	ID       string    `cbor:"1,keyasint,omitempty"`
	Slug     string    `cbor:"2,keyasint,omitempty"` // path segment /t/{slug}/; empty for the default tenant only
	Name     string    `cbor:"3,keyasint,omitempty"`
	Disabled bool      `cbor:"4,keyasint,omitempty"` // nobody signs in, no token is issued
	Created  time.Time `cbor:"5,keyasint,omitempty"`
	Updated  time.Time `cbor:"6,keyasint,omitempty"`
}

var (
	tenants = fsm.NewTable(40, "tenants", fsm.Spec[Tenant]{
		Key: func(t *Tenant) fsm.Key { return fsm.K(t.ID) },
	})
	tenantsBySlug = tenants.Unique(1, "slug", func(t *Tenant) []fsm.Key { return []fsm.Key{fsm.K(t.Slug)} })
)

// DefaultName is what the default tenant is called until somebody names it.
const DefaultName = "Default"

// EnsureDefault creates the default tenant if it is not there: the first act in a new store.
func EnsureDefault(tx *fsm.Tx) error {
	has, err := tenants.Has(tx, fsm.Global, fsm.K(identity.DefaultTenant))
	if err != nil || has {
		return err
	}
	t := &Tenant{ID: identity.DefaultTenant, Name: DefaultName, Created: tx.Now(), Updated: tx.Now()}
	return insertTenant(tx, t)
}

// CreateTenant adds t, which needs a slug and a name; ID and times are set here.
// It reports identity.ErrInvalid, and fsm.ErrExists if the slug is taken.
func CreateTenant(tx *fsm.Tx, t Tenant) (*Tenant, error) {
	t.ID, t.Created, t.Updated = identity.NewID(identity.PrefixTenant), tx.Now(), tx.Now()
	if err := t.check(); err != nil {
		return nil, err
	}
	if err := slugFree(tx, &t); err != nil {
		return nil, err
	}
	return &t, insertTenant(tx, &t)
}

func insertTenant(tx *fsm.Tx, t *Tenant) error {
	if err := tenants.Insert(tx, t); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: t.ID, Type: event.TenantCreated, Target: t.target(), Changes: event.Diff((&Tenant{}).fields(), t.fields()),
	})
}

// GetTenant returns a tenant and its revision, or fsm.ErrNotFound.
func GetTenant(tx *fsm.Tx, id string) (*Tenant, uint64, error) {
	return tenants.GetRev(tx, fsm.Global, fsm.K(id))
}

// TenantBySlug returns the tenant at /t/{slug}/, or fsm.ErrNotFound. The empty slug
// is the default tenant's.
func TenantBySlug(tx *fsm.Tx, slug string) (*Tenant, error) {
	return tenantsBySlug.Get(tx, fsm.Global, fsm.K(slug))
}

// ListTenants returns a page of tenants in order of their slugs, and the cursor of the next page.
func ListTenants(tx *fsm.Tx, after string, limit int) ([]Tenant, string, error) {
	p, err := newPage[Tenant](after, limit)
	if err != nil {
		return nil, "", err
	}
	err = p.fill(tenantsBySlug.List(tx, fsm.Global, fsm.After(after)), tenantsBySlug.Cursor)
	return p.rows, p.next, err
}

// UpdateTenant lets change edit the tenant at revision rev (0: any). ID and
// times are not its to change; the default tenant keeps its empty slug and stays enabled.
func UpdateTenant(tx *fsm.Tx, id string, rev uint64, change func(*Tenant) error) (*Tenant, error) {
	old, at, err := GetTenant(tx, id)
	if err != nil {
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	t := *old
	if err := change(&t); err != nil {
		return nil, err
	}
	t.ID, t.Created, t.Updated = old.ID, old.Created, tx.Now()
	if err := t.check(); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), t.fields())
	if len(changes) == 0 {
		return old, nil
	}
	if err := slugFree(tx, &t); err != nil {
		return nil, err
	}
	if err := tenants.Put(tx, &t); err != nil {
		return nil, err
	}
	return &t, event.Append(tx, event.Event{Tenant: id, Type: event.TenantUpdated, Target: t.target(), Changes: changes})
}

// DeleteTenant removes a tenant that has no users and groups any more: what
// other rooms hold for it can then be reached by nobody. The default tenant stays.
func DeleteTenant(tx *fsm.Tx, id string, rev uint64) error {
	t, at, err := GetTenant(tx, id)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	if id == identity.DefaultTenant {
		return identity.Denied("The default tenant cannot be deleted.")
	}
	for _, err := range users.List(tx, fsm.Scope(id)) {
		if err != nil {
			return err
		}
		return identity.Denied("The tenant still has users. Delete them first.")
	}
	for _, err := range groups.List(tx, fsm.Scope(id)) {
		if err != nil {
			return err
		}
		return identity.Denied("The tenant still has groups. Delete them first.")
	}
	if err := tenants.Delete(tx, fsm.Global, fsm.K(id)); err != nil {
		return err
	}
	return event.Append(tx, event.Event{Tenant: id, Type: event.TenantDeleted, Target: t.target()})
}

func (t *Tenant) target() event.Target {
	return event.Target{Kind: "tenant", ID: t.ID, Name: t.Name}
}

func (t *Tenant) fields() []field {
	return []field{{"slug", t.Slug}, {"name", t.Name}, {"disabled", strconv.FormatBool(t.Disabled)}}
}

func (t *Tenant) check() error {
	var errs []error
	t.Name = cleanName(t.Name)
	if t.Name == "" || len(t.Name) > maxName {
		errs = append(errs, identity.Invalid("name", "must be 1 to 200 characters long"))
	}
	switch {
	case t.ID == identity.DefaultTenant:
		if t.Slug != "" {
			errs = append(errs, identity.Invalid("slug", "of the default tenant is always empty"))
		}
		if t.Disabled {
			errs = append(errs, identity.Invalid("disabled", "cannot be set for the default tenant"))
		}
	default:
		if err := checkSlug(t.Slug); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// slugFree says in a person's words what the unique index would say.
func slugFree(tx *fsm.Tx, t *Tenant) error {
	other, err := TenantBySlug(tx, t.Slug)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && other.ID == t.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return identity.Exists("slug", "is taken by another tenant")
}
