package device

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

// MaxLifetime is the longest that a device may be trusted.
const MaxLifetime = 365 * 24 * time.Hour

const (
	purpose    = "trusted device"
	maxName    = 100 // bytes
	maxDevices = 20  // of one user; one more ends the trust of the oldest
	maxCookie  = 512
)

// A Device is a browser in which one user is not asked for a second factor.
type Device struct {
	ID       string    `cbor:"1,keyasint,omitempty"`
	Tenant   string    `cbor:"2,keyasint,omitempty"`
	UserID   string    `cbor:"3,keyasint,omitempty"`
	Name     string    `cbor:"4,keyasint,omitempty"` // as a person knows it: "Firefox on Linux"
	Created  time.Time `cbor:"5,keyasint,omitempty"`
	LastUsed time.Time `cbor:"6,keyasint,omitempty"` // when it last stood for the second factor; zero: never
	Expires  time.Time `cbor:"7,keyasint,omitempty"`
}

var devices = fsm.NewTable(68, "trusted_devices", fsm.Spec[Device]{
	Scope:     func(d *Device) fsm.Scope { return fsm.Scope(d.Tenant) },
	Key:       func(d *Device) fsm.Key { return fsm.K(d.UserID, d.ID) },
	Expires:   func(d *Device) time.Time { return d.Expires },
	Transient: true,
})

// Tables are the definitions that a store needs for trusted devices.
var Tables = []fsm.Definition{devices}

// Trust adds a device of a user for life, which is at most MaxLifetime, and returns it
// with the value of its cookie: at most 512 bytes, safe in cookies.
func Trust(tx *fsm.Tx, ring *seal.Ring, tenant, userID, name string, life time.Duration) (*Device, string, error) {
	if userID == "" || life <= 0 || life > MaxLifetime {
		return nil, "", fmt.Errorf("trust a device of %q for %v: %w", userID, life, identity.ErrInvalid)
	}
	if err := makeRoom(tx, tenant, userID); err != nil {
		return nil, "", err
	}
	d := &Device{
		ID: identity.NewID(identity.PrefixDevice), Tenant: tenant, UserID: userID,
		Name: identity.Printable(name, maxName), Created: tx.Now(), Expires: tx.Now().Add(life),
	}
	box, err := ring.Seal(ring.Passing(purpose), []byte(d.ID), owner(tenant, userID))
	if err != nil {
		return nil, "", fmt.Errorf("trusted device: %w", err)
	}
	if err := devices.Insert(tx, d); err != nil {
		return nil, "", err
	}
	return d, cookieText.EncodeToString(box), tell(tx, event.TrustedDeviceAdded, d, "")
}

var cookieText = base64.RawURLEncoding.Strict() // one value, one spelling

func owner(tenant, userID string) []byte { return []byte(tenant + "\x00" + userID) }

// makeRoom ends the trust of the oldest devices, so that one more may be trusted.
func makeRoom(tx *fsm.Tx, tenant, userID string) error {
	all, err := List(tx, tenant, userID)
	if err != nil {
		return err
	}
	for ; len(all) >= maxDevices; all = all[1:] {
		if err := revoke(tx, &all[0], "too many devices"); err != nil {
			return err
		}
	}
	return nil
}

// Trusted returns the device that a cookie stands for, or nil if this user is not
// trusted there: the cookie is another's or none of ours, or the trust has ended. It
// only reads; see Accept. Errors say that this node cannot know.
func Trusted(tx *fsm.Tx, ring *seal.Ring, tenant, userID, cookie string) (*Device, error) {
	if userID == "" || cookie == "" || len(cookie) > maxCookie {
		return nil, nil
	}
	box, err := cookieText.DecodeString(cookie)
	if err != nil {
		return nil, nil
	}
	id, err := ring.Open(ring.Passing(purpose), box, owner(tenant, userID))
	if errors.Is(err, seal.ErrBox) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trusted device: %w", err)
	}
	d, err := Get(tx, tenant, userID, string(id))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return d, err
}

// Accept notes that a device stood for the second factor, in the transaction that
// finishes the sign-in. It reports identity.ErrUnauthenticated if the trust has ended
// since, which is fsm.ErrNotFound as well: a node that is behind looks again.
func Accept(tx *fsm.Tx, tenant, userID, id string) error {
	d, err := Get(tx, tenant, userID, id)
	if errors.Is(err, fsm.ErrNotFound) {
		return fmt.Errorf("%w: %w", identity.Unauthenticated("This browser is no longer trusted. Sign in again."), err)
	}
	if err != nil {
		return err
	}
	d.LastUsed = tx.Now()
	return devices.Put(tx, d)
}

// Get returns one of the devices of a user, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant, userID, id string) (*Device, error) {
	return devices.Get(tx, fsm.Scope(tenant), fsm.K(userID, id))
}

// List returns the devices that a user is trusted in, the oldest first.
func List(tx *fsm.Tx, tenant, userID string) ([]Device, error) {
	var all []Device
	for d, err := range devices.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID))) {
		if err != nil {
			return nil, err
		}
		all = append(all, *d)
	}
	return all, nil
}

// Rename gives a device another name. It reports fsm.ErrNotFound, and identity.ErrInvalid for an
// empty name.
func Rename(tx *fsm.Tx, tenant, userID, id, name string) error {
	d, err := Get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	before := d.Name
	if d.Name = strings.TrimSpace(identity.Printable(name, maxName)); d.Name == "" {
		return identity.Invalid("name", "Give the browser a name, such as the device that it is on.")
	}
	if d.Name == before {
		return nil
	}
	if err := devices.Put(tx, d); err != nil {
		return err
	}
	return tell(tx, event.TrustedDeviceRenamed, d, "", event.Change{Field: "name", Before: before, After: d.Name})
}

// Revoke ends the trust in one device, or reports fsm.ErrNotFound.
func Revoke(tx *fsm.Tx, tenant, userID, id string) error {
	d, err := Get(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	return revoke(tx, d, "")
}

// RevokeAll ends the trust in all devices of a user and returns how many there were.
// why is a few words for the record, such as "password changed".
func RevokeAll(tx *fsm.Tx, tenant, userID, why string) (int, error) {
	all, err := List(tx, tenant, userID)
	for i := range all {
		if err := revoke(tx, &all[i], why); err != nil {
			return 0, err
		}
	}
	return len(all), err
}

// Forfeit ends what a factor of a user vouched for that is theirs no more: the trust in their devices, and what was
// proved with it in their sessions. m and id are those of [session.Disown], why is that of RevokeAll.
func Forfeit(tx *fsm.Tx, tenant, userID, why string, m assurance.Method, id string) error {
	if _, err := RevokeAll(tx, tenant, userID, why); err != nil {
		return err
	}
	return session.Disown(tx, tenant, userID, m, id)
}

func revoke(tx *fsm.Tx, d *Device, why string) error {
	if err := devices.Delete(tx, fsm.Scope(d.Tenant), fsm.K(d.UserID, d.ID)); err != nil {
		return err
	}
	return tell(tx, event.TrustedDeviceRevoked, d, why)
}

// DeleteAllOf removes the devices of a user who is being deleted, without events.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error { return remove(tx, tenant, fsm.K(userID)) }

// DeleteTenant removes the devices of a tenant that is being deleted, without events.
func DeleteTenant(tx *fsm.Tx, tenant string) error { return remove(tx, tenant, fsm.K()) }

func remove(tx *fsm.Tx, tenant string, of fsm.Key) error {
	for d, err := range devices.List(tx, fsm.Scope(tenant), fsm.Prefix(of)) {
		if err != nil {
			return err
		}
		if err := devices.Delete(tx, fsm.Scope(tenant), fsm.K(d.UserID, d.ID)); err != nil {
			return err
		}
	}
	return nil
}

func tell(tx *fsm.Tx, what event.Type, d *Device, why string, changes ...event.Change) error {
	e := event.Event{
		Tenant: d.Tenant, Type: what, Target: event.Target{Kind: "trusted_device", ID: d.ID, Name: d.Name},
		Data: map[string]string{"user_id": d.UserID}, Changes: changes,
	}
	if why != "" {
		e.Data["reason"] = why
	}
	return event.Append(tx, e)
}
