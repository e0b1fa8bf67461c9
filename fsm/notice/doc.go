// Package notice tells those who wait, within one process, how far a replica has come
// and which rows have changed.
//
// It is memory only and no part of the replicated state: after a restart it knows of
// nothing, and whoever asks about earlier than it holds is told so.
package notice

import "errors"

var (
	// ErrCompacted: the changes asked for are no longer held; list, then watch from there.
	ErrCompacted = errors.New("changes no longer held")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
)
