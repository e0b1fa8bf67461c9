package directory

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// A User is a person who can sign in to one tenant.
type User struct {
	ID            string    `cbor:"1,keyasint,omitempty"`
	Tenant        string    `cbor:"2,keyasint,omitempty"`
	Username      string    `cbor:"3,keyasint,omitempty"` // as typed; unique however it is spelled
	Email         string    `cbor:"4,keyasint,omitempty"` // optional; unique without regard to case
	EmailVerified bool      `cbor:"5,keyasint,omitempty"`
	Name          string    `cbor:"6,keyasint,omitempty"` // to be shown
	GivenName     string    `cbor:"7,keyasint,omitempty"`
	FamilyName    string    `cbor:"8,keyasint,omitempty"`
	Locale        string    `cbor:"9,keyasint,omitempty"`  // BCP 47
	Admin         bool      `cbor:"10,keyasint,omitempty"` // of the default tenant: administers the whole house; else the tenant
	Disabled      bool      `cbor:"11,keyasint,omitempty"` // cannot sign in; sessions are void
	Created       time.Time `cbor:"12,keyasint,omitempty"`
	Updated       time.Time `cbor:"13,keyasint,omitempty"`

	// Appointed is when another user made this one an administrator; zero: the operator of the
	// machine did, or it was before this was kept.
	Appointed time.Time `cbor:"14,keyasint,omitempty"`
}

var (
	users = fsm.NewTable(41, "users", fsm.Spec[User]{
		Scope: func(u *User) fsm.Scope { return fsm.Scope(u.Tenant) },
		Key:   func(u *User) fsm.Key { return fsm.K(u.ID) },
	})
	usersByUsername = users.Unique(1, "username", func(u *User) []fsm.Key {
		return keyOf(usernameKey(u.Username))
	})
	usersByEmail = users.Unique(2, "email", func(u *User) []fsm.Key {
		return keyOf(emailKey(u.Email))
	})
)

// CreateUser adds u to its tenant; ID and times are set here. It reports
// identity.ErrInvalid for each bad field (see identity.Errors), fsm.ErrExists if
// username or email is taken, and fsm.ErrNotFound if there is no such tenant.
func CreateUser(tx *fsm.Tx, tenant string, u User) (*User, error) {
	if err := tenantExists(tx, tenant); err != nil {
		return nil, err
	}
	u.ID, u.Tenant = identity.NewID(identity.PrefixUser), tenant
	u.Created, u.Updated = tx.Now(), tx.Now()
	u.appoint(tx, &User{})
	if err := u.check(); err != nil {
		return nil, err
	}
	if err := userFree(tx, &u); err != nil {
		return nil, err
	}
	if err := users.Insert(tx, &u); err != nil {
		return nil, err
	}
	return &u, event.Append(tx, event.Event{
		Tenant: tenant, Type: event.UserCreated, Target: u.target(), Changes: event.Diff((&User{}).fields(), u.fields()),
	})
}

// CheckUser reports what CreateUser would of u, or UpdateUser if u has the ID of a user that
// is there; it writes nothing.
func CheckUser(tx *fsm.Tx, tenant string, u User) error {
	if err := tenantExists(tx, tenant); err != nil {
		return err
	}
	u.Tenant = tenant
	if err := u.check(); err != nil {
		return err
	}
	return userFree(tx, &u)
}

// GetUser returns a user and its revision, or fsm.ErrNotFound.
func GetUser(tx *fsm.Tx, tenant, id string) (*User, uint64, error) {
	return users.GetRev(tx, fsm.Scope(tenant), fsm.K(id))
}

// UserByUsername returns the user of that name however it is spelled, or fsm.ErrNotFound.
func UserByUsername(tx *fsm.Tx, tenant, username string) (*User, error) {
	return userBy(tx, tenant, usersByUsername, usernameKey(strings.TrimSpace(username)))
}

// UserByEmail returns the user with that address, or fsm.ErrNotFound.
func UserByEmail(tx *fsm.Tx, tenant, email string) (*User, error) {
	return userBy(tx, tenant, usersByEmail, emailKey(strings.TrimSpace(email)))
}

// UserByLogin returns the user that a person means by what they typed as their
// name: an address if it has an @, else a username. The two cannot be mistaken for
// each other, since a username with an @ must be its user's own address.
func UserByLogin(tx *fsm.Tx, tenant, login string) (*User, error) {
	if strings.Contains(login, "@") {
		return UserByEmail(tx, tenant, login)
	}
	return UserByUsername(tx, tenant, login)
}

func userBy(tx *fsm.Tx, tenant string, index *fsm.Index[User], key string) (*User, error) {
	if key == "" {
		return nil, fsm.ErrNotFound
	}
	return index.Get(tx, fsm.Scope(tenant), fsm.K(key))
}

// UpdateUser lets change edit the user at revision rev (0: any) and returns the
// user as it then is; a change that changes nothing writes nothing. ID, tenant and
// times are not its to change. A new address is unverified unless change sets
// EmailVerified; to tell, change is then called a second time, on the old user with
// the flag down. Errors are those of CreateUser, identity.ErrPrecondition, and identity.ErrDenied
// for a change after which nobody would administer the installation.
func UpdateUser(tx *fsm.Tx, tenant, id string, rev uint64, change func(*User) error) (*User, error) {
	old, at, err := GetUser(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	u := *old
	if err := change(&u); err != nil {
		return nil, err
	}
	if emailKey(u.Email) != emailKey(old.Email) {
		u = *old
		u.EmailVerified = false
		if err := change(&u); err != nil {
			return nil, err
		}
	}
	u.ID, u.Tenant, u.Created, u.Updated = old.ID, old.Tenant, old.Created, tx.Now()
	u.appoint(tx, old)
	if err := u.checkChange(old); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), u.fields())
	if len(changes) == 0 {
		return old, nil
	}
	if err := userFree(tx, &u); err != nil {
		return nil, err
	}
	if err := keepOne(tx, old, &u); err != nil {
		return nil, err
	}
	if err := users.Put(tx, &u); err != nil {
		return nil, err
	}
	return &u, event.Append(tx, event.Event{Tenant: tenant, Type: event.UserUpdated, Target: u.target(), Changes: changes})
}

// DeleteUser removes the user at revision rev (0: any) and its memberships.
// Sessions of a user that is gone are void by themselves. It reports identity.ErrDenied for the
// last administrator of the installation.
func DeleteUser(tx *fsm.Tx, tenant, id string, rev uint64) error {
	u, at, err := GetUser(tx, tenant, id)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	if err := keepOne(tx, u, &User{}); err != nil {
		return err
	}
	if err := users.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	if err := leaveBehind(tx, remain{Tenant: tenant, User: id}); err != nil {
		return err
	}
	return event.Append(tx, event.Event{Tenant: tenant, Type: event.UserDeleted, Target: u.target()})
}

// appoint keeps since when u is an administrator, who was old before.
func (u *User) appoint(tx *fsm.Tx, old *User) {
	switch by := identity.ActorFrom(tx.Context()).Kind; {
	case !u.Admin:
		u.Appointed = time.Time{}
	case old.Admin:
		u.Appointed = old.Appointed
	case by == identity.ActorOperator || by == identity.ActorSystem:
		u.Appointed = time.Time{}
	default: // whoever follows an invitation is nobody yet
		u.Appointed = tx.Now()
	}
}

func (u *User) target() event.Target {
	return event.Target{Kind: "user", ID: u.ID, Name: u.Username}
}

func (u *User) fields() []field {
	return []field{
		{"username", u.Username}, {"email", u.Email}, {"email_verified", strconv.FormatBool(u.EmailVerified)},
		{"name", u.Name}, {"given_name", u.GivenName}, {"family_name", u.FamilyName}, {"locale", u.Locale},
		{"admin", strconv.FormatBool(u.Admin)}, {"disabled", strconv.FormatBool(u.Disabled)},
	}
}

// checkChange checks what u became. A locale that old has, which was accepted once, keeps nobody from
// changing something else.
func (u *User) checkChange(old *User) error {
	locale := u.Locale
	if locale == old.Locale {
		u.Locale = ""
	}
	err := u.check()
	u.Locale = locale
	return err
}

// userFree says in a person's words what the unique indexes would say.
func userFree(tx *fsm.Tx, u *User) error {
	other, err := UserByUsername(tx, u.Tenant, u.Username)
	if err == nil && other.ID != u.ID {
		return identity.Exists("username", "is taken by another user")
	}
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	if u.Email == "" {
		return nil
	}
	other, err = UserByEmail(tx, u.Tenant, u.Email)
	if err == nil && other.ID != u.ID {
		return identity.Exists("email", "is taken by another user")
	}
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	return nil
}

func tenantExists(tx *fsm.Tx, id string) error {
	has, err := tenants.Has(tx, fsm.Global, fsm.K(id))
	if err == nil && !has {
		return identity.NotFound("There is no such tenant.")
	}
	return err
}

// CountUsers returns how many users there are, in all tenants.
func CountUsers(tx *fsm.Tx) (int, error) { return users.CountAll(tx) }
