package problem

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/quis-idp/quis/identity"
)

// A Log is where it is found what went wrong in a request, by the ID that its client was shown. Strangers make as many
// mistakes as they like, so those are written a number at a time, with how many were left out before; faults of ours all are.
// Who asks for what is not there leaves no less room for the others.
type Log struct {
	log           *slog.Logger
	served, amiss allowance // of requests that a pattern serves, and of the others
}

// NewLog returns a Log that writes to log.
func NewLog(log *slog.Logger) *Log {
	return &Log{log: log, served: allowance{room: atOnce}, amiss: allowance{room: atOnce}}
}

// An allowance bounds the lines about mistakes of others.
type allowance struct {
	mu    sync.Mutex
	room  float64 // lines that may be written now
	since time.Time
	left  int // out, since the last line
}

// How many lines an allowance gives.
const (
	atOnce  = 200
	aSecond = 20
)

// admit reports whether a line may be written now, and how many were left out before it.
func (l *allowance) admit(now time.Time) (left int, may bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		l.room = min(atOnce, l.room+max(0, now.Sub(l.since).Seconds())*aSecond)
	}
	l.since = now
	if l.room < 1 {
		l.left++
		return 0, false
	}
	l.room--
	left, l.left = l.left, 0
	return left, true
}

// longest is how much of what was asked for is repeated, in bytes.
const longest = 200

// Report logs why r is answered with err. It is for writers of other formats; Write does it by itself.
func Report(r *http.Request, err error) {
	ctx := r.Context()
	if gone(ctx, err) {
		return
	}
	l, id, route := logOf(ctx), identity.RequestFrom(ctx).ID, identity.Printable(Route(r), longest)
	if kindOf(err).err == nil { // a fault of ours
		l.log.ErrorContext(ctx, "request failed", "request_id", id, "method", r.Method, "route", route, "error", err)
		return
	}
	allowed := &l.served
	if r.Pattern == "" {
		allowed = &l.amiss
	}
	left, may := allowed.admit(time.Now())
	if !may {
		return
	}
	p := Of(ctx, err)
	attrs := []any{"request_id", id, "method", r.Method, "route", route, "status", p.Status, "reason", p.reason()}
	if p.Status >= http.StatusInternalServerError {
		attrs = append(attrs, "error", err)
	}
	if left > 0 {
		attrs = append(attrs, "others_left_out", left)
	}
	l.log.InfoContext(ctx, "request refused", attrs...)
}

// reason is what the client is told.
func (p *Problem) reason() string {
	if p.Detail != "" {
		return identity.Printable(p.Detail, longest)
	}
	return p.Title
}

type logKey struct{}

// WithLog makes [Report] write to l what goes wrong within ctx; without it, to slog's default.
func WithLog(ctx context.Context, l *Log) context.Context { return context.WithValue(ctx, logKey{}, l) }

func logOf(ctx context.Context) *Log {
	if l, ok := ctx.Value(logKey{}).(*Log); ok {
		return l
	}
	return NewLog(slog.Default())
}
