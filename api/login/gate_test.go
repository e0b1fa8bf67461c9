package login

import (
	"runtime"
	"testing"

	"github.com/quis-idp/quis/identity/authn"
)

// Strangers wait for each other, and nobody else waits for them.
func TestKnownBrowsersDoNotComeToTheGate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Strangers = 1 })
	known, stranger := h.someone(), h.someone()
	known.signIn()
	form, again := stranger.form("/login"), known.form("/login?flow="+h.begin(authn.Need{ReturnTo: "/", Login: true}))
	leave, err := h.login.gate.Enter(t.Context())
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
	if leave, err = h.login.gate.Enter(t.Context()); err != nil {
		t.Errorf("the stranger did not leave: %v", err)
	}
	leave()
}
