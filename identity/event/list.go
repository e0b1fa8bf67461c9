package event

import (
	"slices"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	defaultPage = 50
	maxPage     = 500
	maxLooked   = 10_000 // entries that one page looks at, so that a rare filter cannot hold a snapshot for long
)

// A Query narrows a listing; the zero Query lists the newest events.
type Query struct {
	After  string // cursor of the last event of the page before
	Limit  int    // default 50, at most 500
	Oldest bool   // oldest first

	Type   string // prefix of the type: "user." or "session.started"
	Actor  string // ID of the actor
	Target string // ID of the target

	Request string // ID of the request, or of an error page; see ErrorIDs
}

// ErrorIDs names the entry of Data with the IDs that error pages have shown, space between them.
const ErrorIDs = "error_ids"

// List returns one page of a tenant's events, newest first, and the cursor to ask
// for the next; an empty cursor means that there is no more. With a filter a page
// may be short, even empty, and still have a next one. It reports
// identity.ErrInvalid for a cursor that is not one.
func List(tx *fsm.Tx, tenant string, q Query) (page []Event, next string, err error) {
	var after fsm.JournalPosition
	if q.After != "" {
		if after, err = fsm.ParseJournalPosition(q.After); err != nil {
			return nil, "", identity.Invalid("after", "is not a cursor of this list")
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	looked := 0
	for entry, err := range journal.ListScope(tx, fsm.Scope(tenant), after, !q.Oldest) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit || looked == maxLooked {
			return page, next, nil
		}
		looked++
		next = entry.Position.String()
		if q.matches(entry.Value) {
			page = append(page, Read(entry))
		}
	}
	return page, "", nil
}

// Read returns the event of a journal entry with its tenant, time and cursor filled in.
func Read(entry *fsm.JournalEntry[Event]) Event {
	e := *entry.Value
	e.Tenant, e.Time, e.Cursor = string(entry.Scope), entry.Time, entry.Position.String()
	return e
}

func (q *Query) matches(e *Event) bool {
	return strings.HasPrefix(string(e.Type), q.Type) &&
		(q.Actor == "" || q.Actor == e.Actor.ID) &&
		(q.Target == "" || q.Target == e.Target.ID) &&
		(q.Request == "" || q.Request == e.Request.ID || slices.Contains(strings.Fields(e.Data[ErrorIDs]), q.Request))
}
