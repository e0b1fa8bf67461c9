package notify

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/letter"
)

// What may have become of a delivery.
const (
	Pending = "pending" // on its way, for the first time or again
	Done    = "done"    // the server has taken it
	Failed  = "failed"  // given up: a dead letter
)

const (
	giveUpAfter = 24 * time.Hour     // from the first attempt, or from being asked to retry
	keepFor     = 7 * 24 * time.Hour // rows are there to be looked at, whatever came of them
	maxStatus   = 200                // bytes
	maxFact     = 200
)

// A Delivery is one notice to one address. Times are Unix milliseconds.
type Delivery struct {
	ID        string      `cbor:"1,keyasint,omitempty"` // also of the message, at each attempt
	Tenant    string      `cbor:"2,keyasint,omitempty"`
	UserID    string      `cbor:"3,keyasint,omitempty"`
	To        string      `cbor:"4,keyasint,omitempty"` // address
	Letter    letter.Name `cbor:"5,keyasint,omitempty"`
	Event     string      `cbor:"6,keyasint,omitempty"` // what it tells of
	What      string      `cbor:"7,keyasint,omitempty"`
	Browser   string      `cbor:"8,keyasint,omitempty"`
	IP        string      `cbor:"9,keyasint,omitempty"`
	When      int64       `cbor:"10,keyasint,omitempty"` // of the event
	State     string      `cbor:"11,keyasint,omitempty"`
	Attempts  int         `cbor:"12,keyasint,omitempty"` // since it was written or last asked to retry
	Next      int64       `cbor:"13,keyasint,omitempty"` // of the next attempt
	Deadline  int64       `cbor:"14,keyasint,omitempty"`
	Created   int64       `cbor:"15,keyasint,omitempty"`
	Attempted int64       `cbor:"16,keyasint,omitempty"` // last attempt; 0: none yet
	Status    string      `cbor:"17,keyasint,omitempty"` // what came of it, for a person to read
	Expires   int64       `cbor:"18,keyasint,omitempty"`

	Invitation string `cbor:"19,keyasint,omitempty"` // ID of what is mailed, instead of UserID

	Kind letter.Kind `cbor:"20,keyasint,omitempty"` // of What, if it is a name of that

	Scopes string `cbor:"21,keyasint,omitempty"` // of a token, apart by spaces
	Until  int64  `cbor:"22,keyasint,omitempty"` // the token is good; 0: for ever
}

// deliveries lie in order of time: the ID begins with it. After a restore they would tell
// of what is no longer so.
var deliveries = fsm.NewTable(91, "mail_deliveries", fsm.Spec[Delivery]{
	Scope:     func(d *Delivery) fsm.Scope { return fsm.Scope(d.Tenant) },
	Key:       func(d *Delivery) fsm.Key { return fsm.K(d.ID) },
	Expires:   func(d *Delivery) time.Time { return time.UnixMilli(d.Expires) },
	Transient: true,
})

// deliveryID is a function of what the delivery is for, so that a reader that hears of an
// event twice writes nothing new. It sorts like the event's own ID.
func deliveryID(eventID string, n letter.Name, to string) (string, error) {
	u, err := identity.ParseID(identity.PrefixEvent, eventID)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(eventID + "\x00" + string(n) + "\x00" + to))
	copy(u[8:], sum[:8])
	return identity.FormatID(identity.PrefixMail, u), nil
}

// schedule makes d due now, with all its time before it.
func (d *Delivery) schedule(now time.Time) {
	d.State, d.Attempts = Pending, 0
	d.Next = now.UnixMilli()
	d.Deadline = now.Add(giveUpAfter).UnixMilli()
	d.Expires = now.Add(giveUpAfter + keepFor).UnixMilli()
}

// ListDeliveries returns a page of the notices of a tenant, newest first, those in one state
// unless that is empty, and the cursor of the next page. limit is at most 500; 0 means 50.
// It reports identity.ErrInvalid for a cursor that is not one.
func ListDeliveries(tx *fsm.Tx, tenant, state, after string, limit int) (page []Delivery, next string, err error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	for d, err := range deliveries.List(tx, fsm.Scope(tenant), fsm.Reverse(), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		if state != "" && d.State != state {
			continue
		}
		if len(page) == limit {
			return page, deliveries.Cursor(&page[limit-1]), nil
		}
		page = append(page, *d)
	}
	return page, "", nil
}

// RetryDelivery has a notice sent now and, if need be, again for a day, whatever came of it
// before. It reports fsm.ErrNotFound.
func RetryDelivery(tx *fsm.Tx, tenant, id string) (*Delivery, error) {
	d, err := deliveries.Get(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil {
		return nil, fmt.Errorf("mail delivery: %w", err)
	}
	d.schedule(tx.Now())
	if err := deliveries.Put(tx, d); err != nil {
		return nil, err
	}
	return d, tell(tx, d, event.MailRetried)
}

func tell(tx *fsm.Tx, d *Delivery, what event.Type) error {
	e := event.Event{
		Tenant: d.Tenant, Type: what, Target: event.Target{Kind: "user", ID: d.UserID},
		Data: map[string]string{"delivery": d.ID, "letter": string(d.Letter), "event": d.Event},
	}
	if d.Invitation != "" {
		e.Target = event.Target{Kind: "invitation", ID: d.Invitation, Name: d.To}
	}
	if what == event.MailUndelivered {
		e.Data["reason"] = d.Status
	}
	return event.Append(tx, e)
}
