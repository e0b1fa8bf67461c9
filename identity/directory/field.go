package directory

import (
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// A field is one attribute as text, for the event of a change. Secrets are no fields.
type field struct{ name, value string }

// diff returns what differs; both have the same fields in the same order.
func diff(before, after []field) []event.Change {
	var changes []event.Change
	for i := range before {
		if before[i].value != after[i].value {
			changes = append(changes, event.Change{Field: before[i].name, Before: before[i].value, After: after[i].value})
		}
	}
	return changes
}

// expect checks the revision that a change is based on. A revision beyond this
// snapshot means that the snapshot is old, not the caller: it is reported as a
// miss as well, upon which Update catches up with the leader and asks again.
func expect(tx *fsm.Tx, want, have uint64) error {
	switch {
	case want == 0 || want == have:
		return nil
	case want > tx.Index():
		return aheadError{}
	default:
		return identity.Precondition("It has been changed by someone else in the meantime. Load it again.")
	}
}

type aheadError struct{}

func (aheadError) Error() string { return "revision is ahead of this node" }
func (aheadError) Is(target error) bool {
	return target == fsm.ErrNotFound || target == identity.ErrPrecondition
}

func keyOf(k string) []fsm.Key {
	if k == "" {
		return nil
	}
	return []fsm.Key{fsm.K(k)}
}
