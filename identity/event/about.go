package event

import (
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// remembered is how long a person finds an event among their own. The journal keeps it
// beyond that.
const remembered = 90 * 24 * time.Hour

// A mention is an event as the person finds it whom it is about: the journal is in order of
// time alone, and nobody should walk through a busy tenant's to see their last sign-ins.
type mention struct {
	Tenant string    `cbor:"1,keyasint,omitempty"`
	UserID string    `cbor:"2,keyasint,omitempty"`
	Event  Event     `cbor:"3,keyasint,omitempty"`
	At     time.Time `cbor:"4,keyasint,omitempty"`
}

var mentions = fsm.NewTable(32, "event_mentions", fsm.Spec[mention]{
	Scope:   func(m *mention) fsm.Scope { return fsm.Scope(m.Tenant) },
	Key:     func(m *mention) fsm.Key { return fsm.K(m.UserID, m.Event.ID) },
	Expires: func(m *mention) time.Time { return m.At.Add(remembered) },
})

// quiet are the types that happen with every token or after what the person did themselves:
// they would cost a row each and tell nobody anything.
var quiet = []string{"family.", "logout.", "authorization."}

// person is the ID of the user that e is about; "" if it is about nobody, or not worth telling.
func (e *Event) person() string {
	for _, prefix := range quiet {
		if strings.HasPrefix(string(e.Type), prefix) {
			return ""
		}
	}
	switch {
	case e.Data["user_id"] != "":
		return e.Data["user_id"]
	case e.Target.Kind == "user":
		return e.Target.ID
	case e.Actor.Kind == identity.ActorUser && (e.Type == ConsentGiven || e.Type == ConsentRevoked ||
		strings.HasPrefix(string(e.Type), "device.") || strings.HasPrefix(string(e.Type), "ciba.")):
		return e.Actor.ID
	}
	return ""
}

// mentionOf files e, which has been bounded, for the person that it is about.
func mentionOf(tx *fsm.Tx, e *Event) error {
	user := e.person()
	if user == "" {
		return nil
	}
	kept := *e
	kept.Changes = make([]Change, len(e.Changes)) // that something changed, not to what
	for i, c := range e.Changes {
		kept.Changes[i].Field = c.Field
	}
	return mentions.Put(tx, &mention{Tenant: e.Tenant, UserID: user, Event: kept, At: tx.Now()})
}

// About returns a page of what happened to a user in the last 90 days, newest first, and
// the cursor of the next page, empty at the end. Changes say only which fields changed. It
// reports identity.ErrInvalid for a cursor that is not one.
func About(tx *fsm.Tx, tenant, user, after string, limit int) (page []Event, next string, err error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	for m, err := range mentions.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user)), fsm.Reverse(), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit {
			return page, next, nil
		}
		e := m.Event
		e.Tenant, e.Time = m.Tenant, m.At
		page, next = append(page, e), mentions.Cursor(m)
	}
	return page, "", nil
}

// Mention returns one event of those that About lists, or fsm.ErrNotFound.
func Mention(tx *fsm.Tx, tenant, user, id string) (*Event, error) {
	m, err := mentions.Get(tx, fsm.Scope(tenant), fsm.K(user, id))
	if err != nil {
		return nil, err
	}
	e := m.Event
	e.Tenant, e.Time = m.Tenant, m.At
	return &e, nil
}
