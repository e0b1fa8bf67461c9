package identity

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// The kinds of error of the people floor, beside those of fsm; compare with errors.Is.
var (
	// ErrInvalid: what was sent cannot be accepted; sending it again will not help.
	ErrInvalid = errors.New("invalid")
	// ErrUnauthenticated: nobody is signed in, or the proof offered does not hold.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrDenied: we know who asks, and the answer is no.
	ErrDenied = errors.New("denied")
	// ErrLimited: too many, too fast; see Error.RetryAfter.
	ErrLimited = errors.New("limited")
	// ErrPrecondition: the row is no longer at the revision the caller had seen.
	ErrPrecondition = errors.New("precondition failed")
)

// An Error carries what a person may read. Everything else about a failure stays
// in the log.
type Error struct {
	Kind       error         // one of the sentinels; what errors.Is sees
	Field      string        // the offending field, as the API spells it; may be empty
	Detail     string        // one sentence for a person, without secrets
	RetryAfter time.Duration // with ErrLimited: when to come back
}

// Error returns the kind, the field and the detail.
func (e *Error) Error() string {
	s := e.Kind.Error()
	if e.Field != "" {
		s += ": " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Invalid returns an ErrInvalid about one field.
func Invalid(field, detail string) *Error {
	return &Error{Kind: ErrInvalid, Field: field, Detail: detail}
}

// Unauthenticated returns an ErrUnauthenticated.
func Unauthenticated(detail string) *Error { return &Error{Kind: ErrUnauthenticated, Detail: detail} }

// Denied returns an ErrDenied.
func Denied(detail string) *Error { return &Error{Kind: ErrDenied, Detail: detail} }

// Limited returns an ErrLimited that says when to come back.
func Limited(detail string, retryAfter time.Duration) *Error {
	return &Error{Kind: ErrLimited, Detail: detail, RetryAfter: retryAfter}
}

// Exists returns an fsm.ErrExists about the field whose value is taken.
func Exists(field, detail string) *Error {
	return &Error{Kind: fsm.ErrExists, Field: field, Detail: detail}
}

// NotFound returns an fsm.ErrNotFound for a person.
func NotFound(detail string) *Error { return &Error{Kind: fsm.ErrNotFound, Detail: detail} }

// Precondition returns an ErrPrecondition.
func Precondition(detail string) *Error { return &Error{Kind: ErrPrecondition, Detail: detail} }

// Errors returns every Error in err's tree, in order: one, or several that were joined.
func Errors(err error) []*Error {
	switch e := err.(type) {
	case nil:
		return nil
	case *Error:
		return []*Error{e}
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, sub := range e.Unwrap() {
			all = append(all, Errors(sub)...)
		}
		return all
	default:
		return Errors(errors.Unwrap(err))
	}
}
