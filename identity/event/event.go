package event

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// Tables are the definitions that a store needs for events.
var Tables = []fsm.Definition{journal, cursors, mentions}

var journal = fsm.NewJournal[Event](30, "events")

// Bounds of one event, in bytes and entries; longer text is cut, more entries are refused.
const (
	maxText    = 512 // one value, IP or user agent
	maxName    = 64  // one key, field, ID or type
	maxEntries = 64  // entries of Data, and of Changes
)

// An Event says that something happened to something, by whom, and from where.
type Event struct {
	ID      string            `cbor:"1,keyasint,omitempty"`
	Type    Type              `cbor:"2,keyasint,omitempty"`
	Actor   identity.Actor    `cbor:"3,keyasint,omitempty"`
	Target  Target            `cbor:"4,keyasint,omitempty"`
	Request identity.Request  `cbor:"5,keyasint,omitempty"`
	Data    map[string]string `cbor:"6,keyasint,omitempty"`
	Changes []Change          `cbor:"7,keyasint,omitempty"`

	// Known once the event has been read from the journal.
	Tenant string    `cbor:"-"` // to append: the tenant it belongs to; empty for the whole house
	Time   time.Time `cbor:"-"`
	Cursor string    `cbor:"-"` // its place, for Query.After
}

// A Target is what an event happened to.
type Target struct {
	Kind string `cbor:"1,keyasint,omitempty"` // user, group, tenant, session, application, key, family …
	ID   string `cbor:"2,keyasint,omitempty"`
	Name string `cbor:"3,keyasint,omitempty"` // as it was called then, for a person to read
}

// A Change is one field before and after.
type Change struct {
	Field  string `cbor:"1,keyasint,omitempty"`
	Before string `cbor:"2,keyasint,omitempty"`
	After  string `cbor:"3,keyasint,omitempty"`
}

// Diff returns which fields differ. Each is a name and a value as text, never a secret;
// both lists have the same names in the same order.
func Diff(before, after [][2]string) []Change {
	var changes []Change
	for i, f := range before {
		if f[1] != after[i][1] {
			changes = append(changes, Change{Field: f[0], Before: f[1], After: after[i][1]})
		}
	}
	return changes
}

// Changed reports whether e is of a field that changed.
func (e *Event) Changed(field string) bool {
	return slices.ContainsFunc(e.Changes, func(c Change) bool { return c.Field == field })
}

// Append adds e to the journal when tx is applied. It fills what is empty: ID, and
// actor and request from tx.Context(). It reports identity.ErrInvalid for an event
// without a type, of an ill-formed type, or with more entries than the bounds allow.
func Append(tx *fsm.Tx, e Event) error {
	if !e.Type.wellFormed() {
		return fmt.Errorf("append event of type %.40q: %w", e.Type, identity.ErrInvalid)
	}
	if len(e.Data) > maxEntries || len(e.Changes) > maxEntries {
		return fmt.Errorf("append %s: %d values, %d changes: %w", e.Type, len(e.Data), len(e.Changes), identity.ErrInvalid)
	}
	if e.ID == "" {
		e.ID = identity.NewID(identity.PrefixEvent)
	}
	if e.Actor == (identity.Actor{}) {
		e.Actor = identity.ActorFrom(tx.Context())
	}
	if e.Request == (identity.Request{}) {
		e.Request = identity.RequestFrom(tx.Context())
	}
	e.bound()
	tx.OnCommit(func(uint64) { appended.WithLabelValues(string(e.Type)).Inc() })
	if err := mentionOf(tx, &e); err != nil {
		return err
	}
	return journal.Append(tx, fsm.Scope(e.Tenant), &e)
}

// appended counts what this process wrote. Types are constants of our rooms, so the
// label is bounded; it belongs to no instance, as Append belongs to none.
var appended = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "quis_audit_events_total", Help: "Events that this node appended to the record, by type.",
}, []string{"action"})

// Collector returns the metrics of this room, for cmd/daemon to register.
func Collector() prometheus.Collector { return appended }

// bound cuts all text to its limit and makes it printable; see identity.Printable.
func (e *Event) bound() {
	for _, s := range []*string{
		&e.ID, &e.Actor.ID, &e.Actor.SessionID, &e.Actor.Impersonator, &e.Target.Kind, &e.Target.ID, &e.Request.ID, &e.Request.IP,
	} {
		*s = identity.Printable(*s, maxName)
	}
	e.Target.Name = identity.Printable(e.Target.Name, maxText)
	e.Request.UserAgent = identity.Printable(e.Request.UserAgent, maxText)
	if len(e.Data) > 0 {
		data := make(map[string]string, len(e.Data))
		for k, v := range e.Data {
			data[identity.Printable(k, maxName)] = identity.Printable(v, maxText)
		}
		e.Data = data
	}
	changes := make([]Change, 0, len(e.Changes))
	for _, c := range e.Changes {
		changes = append(changes, Change{
			Field:  identity.Printable(c.Field, maxName),
			Before: identity.Printable(c.Before, maxText),
			After:  identity.Printable(c.After, maxText),
		})
	}
	e.Changes = changes
}

// wellFormed reports whether t is two or more lower-case words joined by dots.
func (t Type) wellFormed() bool {
	noun, verb, ok := strings.Cut(string(t), ".")
	if !ok || len(t) > maxName {
		return false
	}
	for _, part := range []string{noun, verb} {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz_.") != "" {
			return false
		}
	}
	return true
}
