package event

import (
	"math"
	"slices"
	"strings"
	"time"

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

	Since time.Time // what happened then or later; zero: ever

	Type   string // prefix of the type: "user." or "session.started"
	User   string // ID of a user who did it, in whose name it was done, to whom, or whom it is about
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
	if q.Oldest && !q.Since.IsZero() {
		from, err := before(tx, q.Since)
		if err != nil {
			return nil, "", err
		}
		if from.After(after) {
			after = from
		}
	}
	looked := 0
	for entry, err := range journal.ListScope(tx, fsm.Scope(tenant), after, !q.Oldest) {
		if err != nil {
			return nil, "", err
		}
		if entry.Time.Before(q.Since) { // newest first, and so are all that follow
			return page, "", nil
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

// apart is how far the clock of the node that made an event may be from the state's time.
const apart = time.Minute

// Get returns the event of a tenant with that ID, or fsm.ErrNotFound. An ID says when it was made, which
// is where it is looked for.
func Get(tx *fsm.Tx, tenant, id string) (*Event, error) {
	made, err := identity.TimeOf(identity.PrefixEvent, id)
	if err != nil {
		return nil, fsm.ErrNotFound
	}
	from, err := before(tx, made.Add(-apart))
	if err != nil {
		return nil, err
	}
	for entry, err := range journal.ListScope(tx, fsm.Scope(tenant), from, false) {
		if err != nil {
			return nil, err
		}
		if entry.Value.ID == id {
			e := Read(entry)
			return &e, nil
		}
		if entry.Time.After(made.Add(apart)) {
			break
		}
	}
	return nil, fsm.ErrNotFound
}

// before returns a position with every entry before t in front of it, and all others behind. The
// state's time never goes back along the log, so that halving finds it.
func before(tx *fsm.Tx, t time.Time) (fsm.JournalPosition, error) {
	head, err := journal.Head(tx)
	if err != nil {
		return fsm.JournalPosition{}, err
	}
	end := func(index uint64) fsm.JournalPosition {
		return fsm.JournalPosition{Index: index, Ordinal: math.MaxUint32}
	}
	low, high := uint64(0), head.Position.Index
	for low < high {
		middle := low + (high-low)/2
		later := true
		for entry, err := range journal.List(tx, end(middle)) {
			if err != nil {
				return fsm.JournalPosition{}, err
			}
			later = !entry.Time.Before(t)
			break
		}
		if later {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return end(low), nil
}

// Read returns the event of a journal entry with its tenant, time and cursor filled in.
func Read(entry *fsm.JournalEntry[Event]) Event {
	e := *entry.Value
	e.Tenant, e.Time, e.Cursor = string(entry.Scope), entry.Time, entry.Position.String()
	return e
}

func (q *Query) matches(e *Event) bool {
	return strings.HasPrefix(string(e.Type), q.Type) &&
		(q.User == "" || slices.Contains([]string{e.Actor.ID, e.Actor.Impersonator, e.Target.ID, e.Data["user_id"]}, q.User)) &&
		(q.Actor == "" || q.Actor == e.Actor.ID) &&
		(q.Target == "" || q.Target == e.Target.ID) &&
		(q.Request == "" || q.Request == e.Request.ID || slices.Contains(strings.Fields(e.Data[ErrorIDs]), q.Request))
}
