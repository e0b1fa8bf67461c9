package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestSignOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	here, there := h.someone(), h.someone()
	here.signIn()
	there.signIn()
	here.Get("/logout").Want(t, 200, "Sign out?", "tester@example.com", `name="everywhere"`)
	if h.sessions() != 2 {
		t.Fatal("asking has signed somebody out")
	}
	a := here.Post("/logout", nil)
	a.Want(t, 200, "You are signed out", "on this device")
	if c := a.Cookies(); len(c) != 1 || c[0].Name != "quis_session" || c[0].MaxAge >= 0 {
		t.Errorf("cookies %v", c)
	}
	here.Get("/").Want(t, 200, "Who are you?")
	there.Get("/").Want(t, 200, "Hello, Test User")

	here.signIn()
	here.Post("/logout", url.Values{"everywhere": {"yes"}}).Want(t, 200, "on every device")
	there.Get("/").Want(t, 200, "Who are you?")
	if h.sessions() != 0 {
		t.Errorf("%d sessions left", h.sessions())
	}
	here.Get("/logout").Want(t, 200, "You are signed out")
	here.Post("/logout", nil).Want(t, 200, "You are signed out")

	r, err := http.NewRequest(http.MethodPost, h.url+"/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	there.Do(r).Want(t, 403, "sent from another site")
}

// An application sends a person to sign out and waits for them: OIDC's end-session
// endpoint asks here first, and is gone back to.
func TestSignOutForAnApplication(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	const back = "/oauth2/logout?client_id=web&state=a%26b"
	s := h.someone()
	s.signIn()
	s.Get("/logout?return_to="+url.QueryEscape(back)).Want(t, 200, `name="return_to" value="/oauth2/logout?client_id=web&amp;state=a%26b"`)
	a := s.Post("/logout", url.Values{"return_to": {back}})
	a.Want(t, 200, "You are signed out", "Continue")
	if got := a.Header.Get("Refresh"); got != "0; url="+back {
		t.Errorf("Refresh: %q", got)
	}
	if a := s.Get("/logout?return_to=" + url.QueryEscape(back)); a.StatusCode != 303 || a.Header.Get("Location") != back {
		t.Errorf("nobody signed in: %d %q", a.StatusCode, a.Header.Get("Location"))
	}
	for _, bad := range []string{
		"https://evil.example/", "//evil.example/oauth2/logout?", "/oauth2/logout", "/\\evil.example", "/login",
		"/oauth2/logout?\r\nx", "/oauth2/logout?" + strings.Repeat("x", 9000), "/t/acme/oauth2/logout?",
	} {
		if a := s.Post("/logout", url.Values{"return_to": {bad}}); a.StatusCode != 200 || a.Header.Get("Refresh") != "" {
			t.Errorf("%q: %d, Refresh %q", bad, a.StatusCode, a.Header.Get("Refresh"))
		}
	}
}
