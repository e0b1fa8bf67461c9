package problem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// answer writes err as the handler of one request would.
func answer(t *testing.T, ctx context.Context, err error) (*httptest.ResponseRecorder, Problem, string) {
	t.Helper()
	var log bytes.Buffer
	ctx = WithLog(identity.WithRequest(ctx, identity.Request{ID: "req_1"}), NewLog(slog.New(slog.NewTextHandler(&log, nil))))
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/users", nil)
	w.Header().Set("ETag", `"7"`)
	Handle(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
	var p Problem
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
	}
	return w, p, log.String()
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		status int
		typ    string
		retry  string
	}{
		{identity.Invalid("email", "An e-mail address has an @."), 400, TypeInvalid, ""},
		{identity.Unauthenticated("The token has expired."), 401, TypeUnauthenticated, ""},
		{identity.Denied("Only admins may."), 403, TypeDenied, ""},
		{fsm.ErrNotFound, 404, TypeNotFound, ""},
		{ErrRoute, 404, TypeNotFound, ""},
		{ErrMethod, 405, TypeMethod, ""},
		{fsm.ErrExists, 409, TypeExists, ""},
		{fsm.ErrConflict, 409, TypeConflict, ""},
		{identity.Precondition("changed"), 412, TypePrecondition, ""},
		{ErrTooLarge, 413, TypeTooLarge, ""},
		{fsm.ErrRefused, 413, TypeTooLarge, ""},
		{&http.MaxBytesError{Limit: 7}, 413, TypeTooLarge, ""},
		{ErrMediaType, 415, TypeMediaType, ""},
		{identity.Limited("Slow down.", 90*time.Second), 429, TypeLimited, "90"},
		{fsm.ErrUnavailable, 503, TypeUnavailable, "2"},
		{fsm.ErrFenced, 503, TypeUnavailable, "2"},
		{fsm.ErrClosed, 503, TypeUnavailable, "2"},
		{fsm.ErrUnknown, 503, TypeUnknown, "2"},
		{seal.ErrSealed, 503, TypeSealed, "2"},
		{context.DeadlineExceeded, 503, TypeUnavailable, "2"},
	} {
		w, p, log := answer(t, t.Context(), fmt.Errorf("create user: %w", tc.err))
		if w.Code != tc.status || p.Status != tc.status || p.Type != tc.typ || p.Title == "" || p.Instance != "req_1" {
			t.Errorf("%v: got %d %+v, want %d %s", tc.err, w.Code, p, tc.status, tc.typ)
		}
		if got := w.Header().Get("Retry-After"); got != tc.retry {
			t.Errorf("%v: Retry-After %q, want %q", tc.err, got, tc.retry)
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%v: Content-Type %q", tc.err, got)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got != "") != (tc.status == 401) {
			t.Errorf("%v: WWW-Authenticate %q", tc.err, got)
		}
		if w.Header().Get("ETag") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: headers of the failed answer remain: %v", tc.err, w.Header())
		}
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=INFO") || !strings.Contains(log, "request_id=req_1") || !strings.Contains(log, fmt.Sprint("status=", tc.status)) {
			t.Errorf("%v: the log has %q", tc.err, log)
		}
	}
}

func TestDetailComesOnlyFromIdentityErrors(t *testing.T) {
	t.Parallel()
	_, p, _ := answer(t, t.Context(), fmt.Errorf("row 7 of secret table: %w", fsm.ErrNotFound))
	if p.Detail != "" {
		t.Errorf("detail %q was not written for a person", p.Detail)
	}
	_, p, _ = answer(t, t.Context(), fmt.Errorf("handler: %w", errors.Join(
		identity.Invalid("email", "An e-mail address has an @."),
		fmt.Errorf("wrapped: %w", identity.Invalid("redirect_uris.1", "Give an absolute URL.")))))
	want := []Field{{"#/email", "An e-mail address has an @."}, {"#/redirect_uris/1", "Give an absolute URL."}}
	if d := cmp.Diff(want, p.Errors); d != "" || p.Detail != want[0].Detail+" (and 1 more, see errors)" {
		t.Errorf("errors (-want +got):\n%s detail %q", d, p.Detail)
	}
	_, p, _ = answer(t, t.Context(), identity.Invalid("/nmae", "is not known here"))
	if p.Detail != "nmae is not known here" {
		t.Errorf("detail %q is no sentence", p.Detail)
	}
}

func TestUnknownErrorIsLoggedOnceAndNotShown(t *testing.T) {
	t.Parallel()
	w, p, log := answer(t, t.Context(), errors.New("pebble: /var/lib/quis is on fire"))
	if w.Code != 500 || p.Type != TypeInternal || p.Detail != "" || strings.Contains(w.Body.String(), "pebble") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if strings.Count(log, "on fire") != 1 || !strings.Contains(log, "request_id=req_1") {
		t.Errorf("log: %s", log)
	}
}

func TestClientThatLeftIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w, _, log := answer(t, ctx, fmt.Errorf("read: %w", context.Canceled))
	if w.Code != statusGone || log != "" {
		t.Errorf("got %d, log %q", w.Code, log)
	}
	// Cancelled for a reason of ours while the client still waits: a fault.
	if w, _, log := answer(t, t.Context(), context.Canceled); w.Code != 500 || log == "" {
		t.Errorf("got %d, log %q", w.Code, log)
	}
}

func TestRetryAfterRoundsUp(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2"} {
		if got := RetryAfter(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestLogIsBounded: strangers who make mistakes all day fill no disk, and what was left out is said; a fault of ours is never left out.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewLog(slog.New(slog.NewTextHandler(&out, nil)))
	r := httptest.NewRequestWithContext(WithLog(t.Context(), l), http.MethodGet, "/"+strings.Repeat("x", 2000), nil)
	for range 5 * atOnce {
		Report(r, ErrRoute)
	}
	Report(r, errors.New("on fire"))
	if n := strings.Count(out.String(), "request refused"); n < atOnce || n > atOnce+2*aSecond {
		t.Errorf("%d lines at once", n)
	}
	if !strings.Contains(out.String(), "on fire") || strings.Contains(out.String(), strings.Repeat("x", longest)) {
		t.Errorf("the log ends with %q", out.String()[out.Len()-2000:])
	}
	r.Pattern = "GET /account"
	before := out.Len()
	if Report(r, ErrMethod); out.Len() == before {
		t.Error("who asks for what is not there leaves no room for the others")
	}
	now := l.amiss.since
	if _, may := l.amiss.admit(now); may {
		t.Error("there is room at once")
	}
	if left, may := l.amiss.admit(now.Add(time.Second)); !may || left < 5*atOnce-atOnce-2*aSecond {
		t.Errorf("after a second: %v, %d left out", may, left)
	}
	if left, may := l.amiss.admit(now.Add(time.Second)); !may || left != 0 {
		t.Errorf("said twice: %v, %d", may, left)
	}
}

// TestNoPathInTheLog: a link that is good once stays a secret whatever is wrong with how it was followed.
func TestNoPathInTheLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx := WithLog(t.Context(), NewLog(slog.New(slog.NewTextHandler(&out, nil))))
	for _, path := range []string{"/invitation/SECRET/", "/invitation/SECRET", "/t/acme/setup/SECRET", "//SECRET", "/"} {
		Report(httptest.NewRequestWithContext(ctx, http.MethodPut, "http://id.example"+path, nil), ErrRoute)
		Report(httptest.NewRequestWithContext(ctx, http.MethodPut, "http://id.example"+path, nil), errors.New("a fault"))
	}
	if s := out.String(); strings.Contains(s, "SECRET") || strings.Count(s, "route=/invitation/…") != 4 {
		t.Error(s)
	}
}
