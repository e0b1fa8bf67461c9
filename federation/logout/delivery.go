package logout

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// What may have become of a delivery.
const (
	Pending = "pending" // on its way, for the first time or again
	Done    = "done"    // the application has taken it
	Failed  = "failed"  // given up
)

const (
	giveUpAfter = 6 * time.Hour      // from the first attempt, or from being asked to retry
	keepFor     = 7 * 24 * time.Hour // rows are there to be looked at, whatever came of them
	maxStatus   = 200                // bytes
)

// A Delivery is one logout token for one application. Times are Unix milliseconds.
type Delivery struct {
	ID          string `cbor:"1,keyasint,omitempty"` // the token's jti, the same at each attempt
	Tenant      string `cbor:"2,keyasint,omitempty"`
	Application string `cbor:"3,keyasint,omitempty"`
	UserID      string `cbor:"4,keyasint,omitempty"`
	SessionID   string `cbor:"5,keyasint,omitempty"` // empty: all sessions of the user
	Event       string `cbor:"6,keyasint,omitempty"` // what it comes from
	State       string `cbor:"7,keyasint,omitempty"`
	Attempts    int    `cbor:"8,keyasint,omitempty"` // since it was written or last asked to retry
	Next        int64  `cbor:"9,keyasint,omitempty"` // of the next attempt
	Deadline    int64  `cbor:"10,keyasint,omitempty"`
	Created     int64  `cbor:"11,keyasint,omitempty"`
	Attempted   int64  `cbor:"12,keyasint,omitempty"` // last attempt; 0: none yet
	Status      string `cbor:"13,keyasint,omitempty"` // what came of it, for a person to read
	Expires     int64  `cbor:"14,keyasint,omitempty"`
}

// deliveries lie by application, each one's in order of time: the ID begins with it.
// After a restore nobody is signed in any more, and none of these is worth sending.
var deliveries = fsm.NewTable(126, "logout_deliveries", fsm.Spec[Delivery]{
	Scope:     func(d *Delivery) fsm.Scope { return fsm.Scope(d.Tenant) },
	Key:       func(d *Delivery) fsm.Key { return d.key() },
	Expires:   func(d *Delivery) time.Time { return time.UnixMilli(d.Expires) },
	Transient: true,
})

// Tables are the tables of this room.
var Tables = []fsm.Definition{deliveries}

func (d *Delivery) key() fsm.Key { return fsm.K(d.Application, d.ID) }

// deliveryID is a function of what the delivery is for, so that a reader that hears of an
// event twice writes nothing new. It sorts like the event's own ID.
func deliveryID(eventID, application, sessionID string) (string, error) {
	u, err := identity.ParseID(identity.PrefixEvent, eventID)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(eventID + "\x00" + application + "\x00" + sessionID))
	copy(u[8:], sum[:8])
	return identity.FormatID(identity.PrefixLogout, u), nil
}

// schedule makes d due now, with all its time before it.
func (d *Delivery) schedule(now time.Time) {
	d.State, d.Attempts = Pending, 0
	d.Next = now.UnixMilli()
	d.Deadline = now.Add(giveUpAfter).UnixMilli()
	d.Expires = now.Add(giveUpAfter + keepFor).UnixMilli()
}

// Get returns a delivery to an application, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant, application, id string) (*Delivery, error) {
	d, err := deliveries.Get(tx, fsm.Scope(tenant), fsm.K(application, id))
	if err != nil {
		return nil, fmt.Errorf("logout delivery: %w", err)
	}
	return d, nil
}

// List returns a page of the deliveries to an application, newest first, and the cursor of
// the next page. limit is at most 500; 0 means 50. It reports identity.ErrInvalid for a
// cursor that is not one.
func List(tx *fsm.Tx, tenant, application, after string, limit int) (page []Delivery, next string, err error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	for d, err := range deliveries.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(application)), fsm.Reverse(), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit {
			return page, deliveries.Cursor(&page[limit-1]), nil
		}
		page = append(page, *d)
	}
	return page, "", nil
}

// Retry has a delivery sent now and, if need be, again for hours, whatever came of it
// before. It reports fsm.ErrNotFound.
func Retry(tx *fsm.Tx, tenant, application, id string) (*Delivery, error) {
	d, err := Get(tx, tenant, application, id)
	if err != nil {
		return nil, err
	}
	d.schedule(tx.Now())
	if err := deliveries.Put(tx, d); err != nil {
		return nil, err
	}
	return d, tell(tx, d, event.LogoutRetried)
}

func tell(tx *fsm.Tx, d *Delivery, what event.Type) error {
	e := event.Event{
		Tenant: d.Tenant, Type: what, Target: event.Target{Kind: "application", ID: d.Application},
		Data: map[string]string{"delivery": d.ID, "user_id": d.UserID},
	}
	if d.SessionID != "" {
		e.Data["session_id"] = d.SessionID
	}
	if what == event.LogoutUndelivered {
		e.Data["reason"] = d.Status
	}
	return event.Append(tx, e)
}
