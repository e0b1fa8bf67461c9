package fsm

import (
	"errors"

	"github.com/quis-idp/quis/fsm/notice"
)

// The kinds of error that the store reports; compare with errors.Is.
var (
	// ErrNotFound: no live row has this key.
	ErrNotFound = errors.New("not found")
	// ErrExists: a row with this key, or with this value of a unique index, is there already.
	ErrExists = errors.New("already exists")
	// ErrConflict: others kept changing what the transaction had read, and the retries are spent.
	// Nothing was written.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: there is no leader to take the write, or no quorum to confirm a read.
	// Nothing was written.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnknown: the time ran out after the batch had left; it may still be applied or may never be.
	ErrUnknown = errors.New("outcome unknown")
	// ErrRefused: the batch can never be accepted: too large, malformed, or past its deadline.
	// Nothing was written.
	ErrRefused = errors.New("refused")
	// ErrFenced: the batch was made for another leader's term. Nothing was written.
	ErrFenced = errors.New("leadership term has passed")
	// ErrCompacted: the changes asked for are no longer held; list, then watch from there.
	ErrCompacted = notice.ErrCompacted
	// ErrClosed: the store has been closed.
	ErrClosed = notice.ErrClosed
	// ErrCorrupt: stored or received bytes fail their checksum or cannot be read.
	ErrCorrupt = errors.New("corrupt")
)
