package login

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/identity/authn"
)

// Strangers wait for each other, and nobody else waits for them.
func TestKnownBrowsersDoNotComeToTheGate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Strangers = 1 })
	known, stranger := h.someone(), h.someone()
	known.signIn()
	form, again := stranger.form("/login"), known.form("/login?flow="+h.begin(authn.Need{ReturnTo: "/", Login: true}))
	leave, err := h.login.gate.Enter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	go func() { done <- stranger.try(form, "tester", secret).StatusCode }()
	for h.login.gate.Waiting() == 0 {
		runtime.Gosched()
	}
	if a := known.try(again, "tester", secret); a.StatusCode != 200 || a.Header.Get("Refresh") == "" {
		t.Errorf("a known browser: %d %s", a.StatusCode, a.Page)
	}
	select {
	case status := <-done:
		t.Errorf("a stranger went through a full gate: %d", status)
	default:
	}
	leave()
	if status := <-done; status != 200 {
		t.Errorf("the stranger after that: %d", status)
	}
	if leave, err = h.login.gate.Enter(t.Context(), ""); err != nil {
		t.Errorf("the stranger did not leave: %v", err)
	}
	leave()
}

// look fails if a stranger who comes now finds the gate full.
func (h *house) look(what string) {
	h.t.Helper()
	gone, stop := context.WithCancel(h.t.Context())
	stop()
	for range 100 { // of two things that can happen, Go chooses either
		if leave, err := h.login.gate.Enter(gone, ""); err == nil {
			leave()
			return
		}
	}
	h.t.Errorf("strangers wait for %s", what)
}

func TestNobodyIsHashedInsideTheGate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Strangers = 1 })
	checks, look := 0, func() { h.look("a hash") }
	before := func() { checks++; look() }
	h.check.Store(&before)
	known := h.someone()
	known.signIn()
	s := h.someone()
	for _, password := range []string{"wrong", secret} {
		s.try(s.form("/login"), "tester", password)
	}
	if checks != 3 {
		t.Errorf("%d passwords were checked", checks)
	}
}

// untaken is an answer that nobody takes.
type untaken struct {
	*httptest.ResponseRecorder
	look func()
}

func (u untaken) WriteHeader(status int)      { u.look(); u.ResponseRecorder.WriteHeader(status) }
func (u untaken) Write(b []byte) (int, error) { u.look(); return u.ResponseRecorder.Write(b) }

func TestNoAnswerIsSentInsideTheGate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Strangers = 1 })
	form := httptest.NewRecorder()
	h.door.ServeHTTP(form, httptest.NewRequest(http.MethodGet, "/login", nil))
	flow := pagetest.Answer{Page: form.Body.String()}.Hidden("flow")
	if len(flow) == 0 {
		t.Fatalf("no form: %d %s", form.Code, form.Body)
	}
	for what, fields := range map[string]url.Values{
		"a dead flow":      {"flow": {"x"}, "username": {"tester"}, "password": {secret}},
		"an empty form":    {"flow": flow},
		"a wrong password": {"flow": flow, "username": {"tester"}, "password": {"wrong"}},
	} {
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(fields.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range form.Result().Cookies() {
			r.AddCookie(c)
		}
		answers := 0
		h.door.ServeHTTP(untaken{httptest.NewRecorder(), func() { answers++; h.look(what) }}, r)
		if answers == 0 {
			t.Errorf("%s: no answer", what)
		}
	}
}

// Whoever finds a crowd at the gate is told so at once, and keeps their form.
func TestCrowdIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Strangers = 1 })
	leave, err := h.login.gate.Enter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(t.Context())
	defer stop()
	var crowd sync.WaitGroup
	for i, full := 0, false; !full; i++ {
		crowd.Go(func() { _, _ = h.login.gate.Enter(gone, fmt.Sprint(i)) })
		looked, look := context.WithCancel(t.Context())
		look()
		_, err := h.login.gate.Enter(looked, "")
		full = errors.Is(err, limit.ErrFull)
	}
	s := h.someone()
	form := s.form("/login")
	a := s.try(form, "tester", secret)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "5" || !strings.Contains(a.Page, "Very many people are signing in") {
		t.Errorf("in a crowd: %d %v %s", a.StatusCode, a.Header, a.Page)
	}
	if back := s.Get(html.UnescapeString(a.One(t, `class="button" href="([^"]+)"`))); len(back.Hidden("flow")) == 0 || !strings.Contains(back.Page, `name="password"`) {
		t.Errorf("it leads back to %d %s", back.StatusCode, back.Page)
	}
	stop()
	crowd.Wait()
	leave()
	if a := s.try(form, "tester", secret); a.StatusCode != http.StatusOK {
		t.Errorf("after it: %d %s", a.StatusCode, a.Page)
	}
}
