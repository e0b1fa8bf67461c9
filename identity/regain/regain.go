package regain

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// Prefix begins the IDs of recoveries.
const Prefix = "rcv"

const (
	toFinish = 7 * 24 * time.Hour // how long a recovery can be finished once its delay is over
	shutFor  = 7 * 24 * time.Hour // how long Stop keeps the person from beginning another
)

// A Kind is by whom a recovery was begun.
type Kind string

// The kinds.
const (
	ByPerson Kind = "person" // who says that they have lost their second factors
	ByLink   Kind = "link"   // an administrator, who has made a link
)

// A Recovery is an account that somebody is getting back into.
type Recovery struct {
	Tenant  string         `cbor:"1,keyasint,omitempty"`
	UserID  string         `cbor:"2,keyasint,omitempty"`
	ID      string         `cbor:"3,keyasint,omitempty"` // "": none waits; what is left says Rests and Shut
	Kind    Kind           `cbor:"4,keyasint,omitempty"`
	By      identity.Actor `cbor:"5,keyasint,omitempty"`
	Begun   time.Time      `cbor:"6,keyasint,omitempty"`
	Ready   time.Time      `cbor:"7,keyasint,omitempty"` // from then on it can be finished
	Expires time.Time      `cbor:"8,keyasint,omitempty"` // until then
	Hash    []byte         `cbor:"9,keyasint,omitempty"` // of a link: SHA-256 of its secret

	Pair     bool           `cbor:"10,keyasint,omitempty"` // a second administrator has to approve
	Approver identity.Actor `cbor:"11,keyasint,omitempty"`
	Approved time.Time      `cbor:"12,keyasint,omitempty"` // zero: not yet

	Rests time.Time `cbor:"13,keyasint,omitempty"` // until then, after a recovery before: see Held
	Shut  time.Time `cbor:"14,keyasint,omitempty"` // until then, after Stop, the person cannot begin one

	First bool `cbor:"15,keyasint,omitempty"` // of a link: nobody had ever been in the account, so that none takes it over
}

var (
	recoveries = fsm.NewTable(84, "recoveries", fsm.Spec[Recovery]{
		Scope:     func(r *Recovery) fsm.Scope { return fsm.Scope(r.Tenant) },
		Key:       func(r *Recovery) fsm.Key { return fsm.K(r.UserID) },
		Expires:   (*Recovery).gone,
		Transient: true, // or a backup would bring a used link back
	})
	byHash = recoveries.Unique(1, "hash", func(r *Recovery) []fsm.Key {
		if len(r.Hash) == 0 {
			return nil
		}
		return []fsm.Key{fsm.K(string(r.Hash))}
	})
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{recoveries, locks, eras}

// gone is when a row is of no use any more.
func (r *Recovery) gone() time.Time {
	return slices.MaxFunc([]time.Time{r.Expires, r.Rests, r.Shut}, time.Time.Compare)
}

// waits reports whether r is a recovery that can still be finished, now or later.
func (r *Recovery) waits(now time.Time) bool {
	return r != nil && r.ID != "" && now.Before(r.Expires)
}

// A State is what a recovery that waits is waiting for.
type State string

// The states.
const (
	Delayed    State = "delayed"    // for its time
	Unapproved State = "unapproved" // for a second administrator
	Open       State = "open"       // for the person
)

// State says what r is waiting for.
func (r *Recovery) State(now time.Time) State {
	switch {
	case r.Pair && r.Approved.IsZero():
		return Unapproved
	case now.Before(r.Ready):
		return Delayed
	}
	return Open
}

// row returns the row of a user, nil if there is none.
func row(tx *fsm.Tx, tenant, userID string) (*Recovery, error) {
	r, err := recoveries.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return r, err
}

// Waiting returns the recovery of a user that waits, nil if none does.
func Waiting(tx *fsm.Tx, tenant, userID string) (*Recovery, error) {
	r, err := row(tx, tenant, userID)
	if err != nil || !r.waits(tx.Now()) {
		return nil, err
	}
	return r, nil
}

// List returns those of a tenant that wait, by user, and the cursor of the next page.
func List(tx *fsm.Tx, tenant, after string, limit int) (rows []Recovery, next string, err error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	for r, err := range recoveries.List(tx, fsm.Scope(tenant), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		if !r.waits(tx.Now()) {
			continue
		}
		if len(rows) == limit {
			return rows, recoveries.Cursor(&rows[limit-1]), nil
		}
		rows = append(rows, *r)
	}
	return rows, "", nil
}

// Begin begins the recovery of a person who has proved what they still have, and returns
// it; one that waits already stays as it is and is returned, whoever began it. It reports
// identity.ErrDenied where the tenant lets nobody in this way, in the time of rest after
// another recovery, and for a while after Stop. The caller has made sure that every member of the cluster reads
// such rows.
func Begin(tx *fsm.Tx, tenant, userID string) (*Recovery, error) {
	old, err := row(tx, tenant, userID)
	if err != nil || old.waits(tx.Now()) {
		return old, err
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return nil, err
	}
	if !Alone(s) {
		return nil, identity.Denied("You cannot do this by yourself here. Ask your administrator.")
	}
	now := tx.Now()
	if old != nil && (now.Before(old.Rests) || now.Before(old.Shut)) {
		return nil, identity.Denied("Your account was recovered not long ago, or somebody stopped that. Ask your administrator to let you back in.")
	}
	r := &Recovery{
		Tenant: tenant, UserID: userID, ID: identity.NewID(Prefix), Kind: ByPerson, By: identity.Actor{Kind: identity.ActorUser, ID: userID},
		Begun: now, Ready: now.Add(time.Duration(s.Recovery.Delay) * time.Hour),
	}
	r.Expires = r.Ready.Add(toFinish)
	if err := recoveries.Put(tx, r); err != nil {
		return nil, err
	}
	return r, r.tell(tx, event.RecoveryStarted, s, nil)
}

// Cancel ends the recovery of a user that waits, if there is one, and says whether there
// was. why is a few words for the record.
func Cancel(tx *fsm.Tx, tenant, userID, why string) (bool, error) {
	r, err := Waiting(tx, tenant, userID)
	if err != nil || r == nil {
		return false, err
	}
	if err := r.leave(tx, r.Rests, r.Shut); err != nil {
		return false, err
	}
	return true, r.cancelled(tx, why)
}

// Stop is Cancel for a person who says that it was not them. As somebody else seems to
// know what it takes, none can be begun for a week but by an administrator.
func Stop(tx *fsm.Tx, tenant, userID, why string) (bool, error) {
	r, err := Waiting(tx, tenant, userID)
	if err != nil || r == nil {
		return false, err
	}
	if err := r.leave(tx, r.Rests, tx.Now().Add(shutFor)); err != nil {
		return false, err
	}
	return true, r.cancelled(tx, why)
}

func (r *Recovery) cancelled(tx *fsm.Tx, why string) error {
	s, _, err := settings.Get(tx, r.Tenant)
	if err != nil {
		return err
	}
	return r.tell(tx, event.RecoveryCancelled, s, map[string]string{"reason": why})
}

// leave takes r from its row, of which only the times are left, if they are to come.
func (r *Recovery) leave(tx *fsm.Tx, rests, shut time.Time) error {
	if now := tx.Now(); now.Before(rests) || now.Before(shut) {
		return recoveries.Put(tx, &Recovery{Tenant: r.Tenant, UserID: r.UserID, Rests: rests, Shut: shut})
	}
	return recoveries.Delete(tx, fsm.Scope(r.Tenant), fsm.K(r.UserID))
}

// DeleteAllOf removes the rows of a user who is being deleted, without an event.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error {
	if err := Unlock(tx, tenant, userID); err != nil {
		return err
	}
	if err := eras.Delete(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	}
	return recoveries.Delete(tx, fsm.Scope(tenant), fsm.K(userID))
}

// QuietKey is in the data of an event of which nobody is to be told by mail: the tenant wants it so,
// nobody was in the account before, or the letter about another event says all there is to say.
const QuietKey = "quiet"

// tell writes the event of a step. Who is not signed in has proved to be the user, or has a
// link that was meant for them.
func (r *Recovery) tell(tx *fsm.Tx, what event.Type, s *settings.Authentication, data map[string]string) error {
	all := map[string]string{"recovery": r.ID, "kind": string(r.Kind)}
	if r.First || !s.Recovery.Notify { // who comes in for the first time has lost nothing
		all[QuietKey] = "yes"
	}
	if what == event.RecoveryStarted {
		all["ready"], all["expires"] = r.Ready.UTC().Format(time.RFC3339), r.Expires.UTC().Format(time.RFC3339)
		if r.Pair {
			all["approval"] = "needed"
		}
	}
	maps.Copy(all, data)
	e := event.Event{Tenant: r.Tenant, Type: what, Target: event.Target{Kind: "user", ID: r.UserID}, Data: all}
	if by := identity.ActorFrom(tx.Context()); by.ID == "" && by.Kind != identity.ActorOperator {
		e.Actor = identity.Actor{Kind: identity.ActorUser, ID: r.UserID}
	}
	return event.Append(tx, e)
}
