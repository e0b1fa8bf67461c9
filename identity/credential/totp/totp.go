package totp

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	purpose = "totp secret"
	maxName = 100 // bytes
	// maxApps of one user: each makes a guess that much likelier to hit.
	maxApps = 5
)

// An App is an authenticator app of a user, without its secret.
type App struct {
	ID       string     `cbor:"1,keyasint,omitempty"`
	Tenant   string     `cbor:"2,keyasint,omitempty"`
	UserID   string     `cbor:"3,keyasint,omitempty"`
	Name     string     `cbor:"4,keyasint,omitempty"`
	Created  time.Time  `cbor:"5,keyasint,omitempty"`
	LastUsed time.Time  `cbor:"6,keyasint,omitempty"` // zero: not yet
	Box      []byte     `cbor:"7,keyasint,omitempty" json:"-"`
	Step     int64      `cbor:"8,keyasint,omitempty"` // of the latest code that was accepted
	Params   Parameters `cbor:"9,keyasint,omitempty"`
}

var apps = fsm.NewTable(63, "totp", fsm.Spec[App]{
	Scope: func(a *App) fsm.Scope { return fsm.Scope(a.Tenant) },
	Key:   func(a *App) fsm.Key { return fsm.K(a.UserID, a.ID) },
})

// Tables are the definitions that a store needs for authenticator apps.
var Tables = []fsm.Definition{apps}

// boundTo is what a sealed secret is bound to: a box in another row opens there for nobody.
func boundTo(tenant, userID, id string) []byte {
	return []byte(tenant + "\x00" + userID + "\x00" + id)
}

// Check returns which app of the user a code is from, and the time step that it is the
// code of, for Accept. It only reads. It reports identity.ErrUnauthenticated, with a
// sentence for the person, for a code that is wrong or was used already; any other error
// says that nothing was learned.
func Check(tx *fsm.Tx, ring *seal.Ring, tenant, userID, code string) (id string, step int64, err error) {
	all, err := List(tx, tenant, userID)
	if err != nil {
		return "", 0, err
	}
	code = typed(code)
	used := false
	for i := range all { // all of them, so that time does not tell which one fits
		a := &all[i]
		secret, err := ring.Open(purpose, a.Box, boundTo(tenant, userID, a.ID))
		if err != nil {
			return "", 0, fmt.Errorf("totp %s: %w", a.ID, err)
		}
		s, ok := a.Params.match(secret, code, tx.Now())
		switch {
		case ok && s > a.Step && id == "":
			id, step = a.ID, s
		case ok && s <= a.Step:
			used = true
		}
	}
	switch {
	case id != "":
		return id, step, nil
	case used:
		return "", 0, spent()
	}
	return "", 0, identity.Unauthenticated("That code is not right. Enter the code that your authenticator app shows now.")
}

// ErrUsed is, beside identity.ErrUnauthenticated, that of a code that was right and used already: somebody may
// have seen it.
var ErrUsed = errors.New("code of an app used again")

func spent() error {
	return fmt.Errorf("%w: %w", identity.Unauthenticated("That code was used already. Wait until your authenticator app shows the next one."), ErrUsed)
}

// Accept spends the code of a time step, in the transaction that finishes the sign-in:
// that one and all before it are of no use from then on. It reports
// identity.ErrUnauthenticated if the step, or a later one, was accepted before; and if the
// app is gone, which is fsm.ErrNotFound as well: a node that is behind looks again.
func Accept(tx *fsm.Tx, tenant, userID, id string, step int64) error {
	a, err := get(tx, tenant, userID, id)
	if errors.Is(err, fsm.ErrNotFound) {
		return fmt.Errorf("%w: %w", identity.Unauthenticated("That authenticator app was removed. Use another way to sign in."), err)
	}
	if err != nil {
		return err
	}
	if step <= a.Step {
		return spent()
	}
	a.Step, a.LastUsed = step, tx.Now()
	return apps.Put(tx, a)
}

func get(tx *fsm.Tx, tenant, userID, id string) (*App, error) {
	return apps.Get(tx, fsm.Scope(tenant), fsm.K(userID, id))
}

// List returns a user's apps, the oldest first.
func List(tx *fsm.Tx, tenant, userID string) ([]App, error) {
	var all []App
	for a, err := range apps.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID))) {
		if err != nil {
			return nil, err
		}
		all = append(all, *a)
	}
	return all, nil
}

// Rename gives an app another name. It reports fsm.ErrNotFound, and identity.ErrInvalid
// for an empty name.
func Rename(tx *fsm.Tx, tenant, userID, id, name string) error {
	a, err := get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	before := a.Name
	if a.Name, err = named(name); err != nil || a.Name == before {
		return err
	}
	if err := apps.Put(tx, a); err != nil {
		return err
	}
	return tell(tx, event.FactorRenamed, a, event.Change{Field: "name", Before: before, After: a.Name})
}

func named(name string) (string, error) {
	if name = strings.TrimSpace(identity.Printable(name, maxName)); name == "" {
		return "", identity.Invalid("name", "Give the authenticator app a name, such as the telephone that it is on.")
	}
	return name, nil
}

// Remove takes an app away from a user, and with it all trust in devices; it reports
// fsm.ErrNotFound. Whether it is the user's last way in is for the caller to see.
func Remove(tx *fsm.Tx, tenant, userID, id string) error {
	a, err := get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	if err := apps.Delete(tx, fsm.Scope(tenant), fsm.K(userID, id)); err != nil {
		return err
	}
	if err := tell(tx, event.FactorRemoved, a); err != nil {
		return err
	}
	return device.Forfeit(tx, tenant, userID, "authenticator app removed", assurance.TOTP, id)
}

// DeleteAllOf removes the apps of a user who is being deleted, without events.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error { return remove(tx, tenant, fsm.K(userID)) }

// DeleteTenant removes the apps of a tenant that is being deleted, without events.
func DeleteTenant(tx *fsm.Tx, tenant string) error { return remove(tx, tenant, fsm.K()) }

func remove(tx *fsm.Tx, tenant string, of fsm.Key) error {
	for a, err := range apps.List(tx, fsm.Scope(tenant), fsm.Prefix(of)) {
		if err != nil {
			return err
		}
		if err := apps.Delete(tx, fsm.Scope(tenant), fsm.K(a.UserID, a.ID)); err != nil {
			return err
		}
	}
	return nil
}

// UsesSealingKey reports whether a secret of any tenant is sealed under sealing key id:
// for seal.Ring.Retire.
func UsesSealingKey(tx *fsm.Tx, id uint32) (bool, error) {
	for a, err := range apps.ListAll(tx) {
		if err != nil || seal.SealedBy(a.Box) == id {
			return err == nil, err
		}
	}
	return false, nil
}

func tell(tx *fsm.Tx, what event.Type, a *App, changes ...event.Change) error {
	return event.Append(tx, event.Event{
		Tenant: a.Tenant, Type: what, Target: event.Target{Kind: "totp", ID: a.ID, Name: a.Name},
		Data: map[string]string{"user_id": a.UserID}, Changes: changes,
	})
}
