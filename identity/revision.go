package identity

import "github.com/quis-idp/quis/fsm"

// Expect checks the revision that a change is based on; want 0 is any. A revision beyond
// this snapshot means that the snapshot is old, not the caller: it is reported as a
// miss as well, upon which Update catches up with the leader and asks again.
func Expect(tx *fsm.Tx, want, have uint64) error {
	switch {
	case want == 0 || want == have:
		return nil
	case want > tx.Index():
		return aheadError{}
	default:
		return Precondition("It has been changed by someone else in the meantime. Load it again.")
	}
}

type aheadError struct{}

func (aheadError) Error() string { return "revision is ahead of this node" }
func (aheadError) Is(target error) bool {
	return target == fsm.ErrNotFound || target == ErrPrecondition
}
