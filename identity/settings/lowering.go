package settings

import (
	"errors"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// loweringLife is how long a second administrator has to agree.
const loweringLife = 7 * 24 * time.Hour

// A Lowering is what one administrator asked for and another has to agree with: that one be
// enough again to help people back in (see Recovery.TwoPerson).
type Lowering struct {
	Tenant  string         `cbor:"1,keyasint,omitempty"`
	ID      string         `cbor:"2,keyasint,omitempty"`
	By      identity.Actor `cbor:"3,keyasint,omitempty"`
	Begun   time.Time      `cbor:"4,keyasint,omitempty"`
	Expires time.Time      `cbor:"5,keyasint,omitempty"`
}

var lowerings = fsm.NewTable(49, "lowerings", fsm.Spec[Lowering]{
	Scope:     func(l *Lowering) fsm.Scope { return fsm.Scope(l.Tenant) },
	Key:       func(*Lowering) fsm.Key { return fsm.K("two_person") },
	Expires:   func(l *Lowering) time.Time { return l.Expires },
	Transient: true, // or a backup would bring one back that was taken back
})

// mayReplace reports identity.ErrDenied if a ends what two have to agree with, or opens a way
// around it into other people's accounts, and one does it alone.
func (a *Authentication) mayReplace(tx *fsm.Tx, old *Authentication) error {
	if !old.wantsTwo(tx) {
		return nil
	}
	if !a.Recovery.TwoPerson {
		return identity.Denied("Two administrators have to agree to switch recovery.two_person off. Ask for it under settings/authentication/lowering, and another one approves it.")
	}
	foreign := slices.ContainsFunc(a.Passkey.RelatedOrigins, func(o string) bool { return !slices.Contains(old.Passkey.RelatedOrigins, o) })
	switch {
	case a.AllowImpersonation && !old.AllowImpersonation:
		return alone("allow_impersonation would let one in alone")
	case a.QuietImpersonation && !old.QuietImpersonation:
		return alone("quiet_impersonation would let one in alone")
	case foreign:
		return alone("passkey.related_origins would let one in alone")
	}
	return nil
}

// GetLowering returns the lowering of a tenant that waits to be approved, or fsm.ErrNotFound.
func GetLowering(tx *fsm.Tx, tenant string) (*Lowering, error) {
	l, err := lowerings.Get(tx, fsm.Scope(tenant), fsm.K("two_person"))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, identity.NotFound("Nobody has asked for this, or it is over.")
	}
	return l, err
}

// AskLowering has whoever acts ask that one administrator be enough again, and takes the place of what
// waited before. It reports identity.ErrDenied where one is enough. The caller has made sure
// that every member of the cluster reads such rows.
func AskLowering(tx *fsm.Tx, tenant string) (*Lowering, error) {
	s, _, err := Get(tx, tenant)
	if err != nil {
		return nil, err
	}
	if !s.Recovery.TwoPerson {
		return nil, identity.Denied("One administrator is enough here already.")
	}
	l := &Lowering{
		Tenant: tenant, ID: identity.NewID(identity.PrefixLowering), By: identity.ActorFrom(tx.Context()),
		Begun: tx.Now(), Expires: tx.Now().Add(loweringLife),
	}
	if err := lowerings.Put(tx, l); err != nil {
		return nil, err
	}
	return l, l.tell(tx, event.SettingsLoweringAsked)
}

// AgreeLowering has a second administrator agree with the lowering that has the ID id, which takes
// effect: what took its place meanwhile nobody has agreed with. It reports fsm.ErrNotFound, and
// identity.ErrDenied of who is no second one (see Second).
func AgreeLowering(tx *fsm.Tx, tenant, id string) error {
	l, err := GetLowering(tx, tenant)
	if err != nil {
		return err
	}
	if l.ID != id {
		return identity.NotFound("Nobody has asked for this, or it is over.")
	}
	if err := Second(tx, tenant, l.By); err != nil {
		return err
	}
	old, _, err := Whole(tx, tenant)
	if err != nil {
		return err
	}
	a := *old
	a.Recovery.TwoPerson = false
	return a.replace(tx, old, map[string]string{"lowering": l.ID, "asked_by": string(l.By.Kind) + " " + l.By.ID})
}

// WithdrawLowering ends the lowering that waits. It reports fsm.ErrNotFound.
func WithdrawLowering(tx *fsm.Tx, tenant string) error {
	l, err := GetLowering(tx, tenant)
	if err != nil {
		return err
	}
	if err := dropLowering(tx, tenant); err != nil {
		return err
	}
	return l.tell(tx, event.SettingsLoweringCancelled)
}

func (l *Lowering) tell(tx *fsm.Tx, what event.Type) error {
	return event.Append(tx, event.Event{
		Tenant: l.Tenant, Type: what, Target: event.Target{Kind: "tenant", ID: l.Tenant}, Data: map[string]string{"lowering": l.ID},
	})
}

func dropLowering(tx *fsm.Tx, tenant string) error {
	return lowerings.Delete(tx, fsm.Scope(tenant), fsm.K("two_person"))
}
