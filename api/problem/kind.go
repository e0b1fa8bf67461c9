package problem

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// Errors as HTTP knows them.
var (
	// ErrPrecondition: If-Match names another revision than the stored one (RFC 9110 §13.1.1).
	ErrPrecondition = identity.ErrPrecondition
	// ErrMethod: the path exists, but not for this method.
	ErrMethod = errors.New("method not allowed")
	// ErrMediaType: the request body is of a type that is not read here.
	ErrMediaType = errors.New("unsupported media type")
	// ErrTooLarge: the request body is over the limit; also reported for [http.MaxBytesError].
	ErrTooLarge = errors.New("content too large")
	// ErrState: nothing is wrong with the request, but things are in no state that allows it.
	ErrState = errors.New("not possible as things are")
	// ErrRoute: there is nothing at this path.
	ErrRoute = errors.New("no such path")
)

// base makes each type a URI that leads to its documentation below.
const base = "https://pkg.go.dev/github.com/quis-idp/quis/api/problem#"

// The type of a problem, stable for ever: programs compare it, people open it.
const (
	// TypeInvalid: the request is wrong; `errors` names the members at fault. Status 400.
	TypeInvalid = base + "TypeInvalid"
	// TypeUnauthenticated: no credentials, or credentials that do not hold. Status 401.
	TypeUnauthenticated = base + "TypeUnauthenticated"
	// TypeDenied: known, and not allowed. Status 403.
	TypeDenied = base + "TypeDenied"
	// TypeNotFound: there is no such thing, or none that you may know of. Status 404.
	TypeNotFound = base + "TypeNotFound"
	// TypeMethod: the path does not serve this method; see the Allow header. Status 405.
	TypeMethod = base + "TypeMethod"
	// TypeExists: something with this name or value is there already. Status 409.
	TypeExists = base + "TypeExists"
	// TypeConflict: others kept changing the same thing; nothing was written, try again. Status 409.
	TypeConflict = base + "TypeConflict"
	// TypeState: as things are it would do harm, or is impossible; the detail says why. Status 409.
	TypeState = base + "TypeState"
	// TypePrecondition: it has changed since you read it; read it again. Status 412.
	TypePrecondition = base + "TypePrecondition"
	// TypeTooLarge: the body is over the limit of this path. Status 413.
	TypeTooLarge = base + "TypeTooLarge"
	// TypeMediaType: the body is of a type that is not read here. Status 415.
	TypeMediaType = base + "TypeMediaType"
	// TypeLimited: too many attempts; wait for Retry-After seconds. Status 429.
	TypeLimited = base + "TypeLimited"
	// TypeInternal: a fault of ours; the log has it under the instance. Status 500.
	TypeInternal = base + "TypeInternal"
	// TypeUnavailable: the cluster has no leader just now; nothing was written. Status 503 with Retry-After.
	TypeUnavailable = base + "TypeUnavailable"
	// TypeUnknown: the change was sent and no answer came: it may have happened. Look before
	// trying again. Status 503 with Retry-After.
	TypeUnknown = base + "TypeUnknown"
	// TypeSealed: this node cannot open its keys; another one may. Status 503 with Retry-After.
	TypeSealed = base + "TypeSealed"
)

// statusGone is what the access log shows for a client that left before its answer.
const statusGone = 499

// retryAfter is told to a client when nothing better is known: an election takes about a second.
const retryAfter = 2 * time.Second

// A kind is one row of the table: how an error of that kind looks from outside.
type kind struct {
	err    error
	typ    string
	title  string
	status int
	retry  bool
}

// kinds is searched from the top, so the more telling sentinels come first: an error that
// is both (a conflict while there is no leader) is the one that says most about the outcome.
var kinds = []kind{
	{fsm.ErrUnknown, TypeUnknown, "The outcome is unknown", http.StatusServiceUnavailable, true},
	{fsm.ErrUnavailable, TypeUnavailable, "Temporarily unavailable", http.StatusServiceUnavailable, true},
	{fsm.ErrFenced, TypeUnavailable, "Temporarily unavailable", http.StatusServiceUnavailable, true},
	{fsm.ErrClosed, TypeUnavailable, "Temporarily unavailable", http.StatusServiceUnavailable, true},
	{seal.ErrSealed, TypeSealed, "The keys of this node are sealed", http.StatusServiceUnavailable, true},
	{identity.ErrLimited, TypeLimited, "Too many attempts", http.StatusTooManyRequests, true},
	{identity.ErrUnauthenticated, TypeUnauthenticated, "Authentication is required", http.StatusUnauthorized, false},
	{identity.ErrDenied, TypeDenied, "Not allowed", http.StatusForbidden, false},
	{identity.ErrPrecondition, TypePrecondition, "It has changed since you read it", http.StatusPreconditionFailed, false},
	{ErrState, TypeState, "Not possible as things are", http.StatusConflict, false},
	{ErrMethod, TypeMethod, "Method not allowed", http.StatusMethodNotAllowed, false},
	{ErrMediaType, TypeMediaType, "Unsupported media type", http.StatusUnsupportedMediaType, false},
	{ErrTooLarge, TypeTooLarge, "The request is too large", http.StatusRequestEntityTooLarge, false},
	{fsm.ErrRefused, TypeTooLarge, "The request is too large", http.StatusRequestEntityTooLarge, false},
	{identity.ErrInvalid, TypeInvalid, "The request is not valid", http.StatusBadRequest, false},
	{fsm.ErrExists, TypeExists, "It exists already", http.StatusConflict, false},
	{fsm.ErrConflict, TypeConflict, "Others are changing the same thing", http.StatusConflict, false},
	{fsm.ErrNotFound, TypeNotFound, "Not found", http.StatusNotFound, false},
	{ErrRoute, TypeNotFound, "Not found", http.StatusNotFound, false},
	{context.DeadlineExceeded, TypeUnavailable, "Temporarily unavailable", http.StatusServiceUnavailable, true},
}

var internal = kind{nil, TypeInternal, "Something went wrong on our side", http.StatusInternalServerError, false}

func kindOf(err error) kind {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return kindOf(ErrTooLarge)
	}
	return internal
}
