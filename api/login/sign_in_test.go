package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/federation/oidc"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	const returnTo = "/oauth2/authorize?client_id=web&state=a%26b"
	flow := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: returnTo, Application: "Web & <Co>", LoginHint: "tester"}))

	a := s.try(flow, "tester@example.com", "wrong")
	a.Want(t, 401, "Sign in", "to continue to Web &amp; &lt;Co&gt;", `role="alert"`, `value="tester@example.com"`, "do not match")
	if strings.Contains(a.Page, "wrong") {
		t.Error("the password came back")
	}
	if len(a.Header.Values("Set-Cookie")) != 0 {
		t.Errorf("a failed attempt sets cookies: %v", a.Header)
	}

	a = s.try(flow, "tester@example.com", secret)
	a.Want(t, 200, "Signing you in")
	to, ok := strings.CutPrefix(a.Header.Get("Refresh"), "0; url=")
	if !ok || !strings.HasPrefix(to, returnTo+"&"+authn.TicketParameter+"=") {
		t.Errorf("Refresh: %q", a.Header.Get("Refresh"))
	}
	if link := `href="` + strings.ReplaceAll(to, "&", "&amp;") + `"`; !strings.Contains(a.Page, link) {
		t.Errorf("no link %s in %s", link, a.Page)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control: %q", a.Header.Get("Cache-Control"))
	}
	for _, c := range a.Cookies() {
		if !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
			t.Errorf("cookie %s", c)
		}
	}
	if h.sessions() != 1 {
		t.Errorf("%d sessions, want 1", h.sessions())
	}

	s.Get("/").Want(t, 200, "Hello, Test User", "tester@example.com")
	if a := s.Get("/?" + authn.TicketParameter + "=x"); a.StatusCode != 303 || a.Header.Get("Location") != "/" {
		t.Errorf("a ticket stays in the address bar: %d", a.StatusCode)
	}
	s.Get("/login?flow="+flow).Want(t, 410, "You have been here already")
	s.try(flow, "tester", secret).Want(t, 410, "You have been here already")
	if a := s.Get("/login"); a.StatusCode != 303 || a.Header.Get("Location") != "/" {
		t.Errorf("signed in and asked again: %d %v", a.StatusCode, a.Header)
	}
}

func TestHintIsFilledInAndEscaped(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	a := h.someone().Get("/login?flow=" + h.begin(authn.Need{ReturnTo: "/", LoginHint: `"><script>alert(1)</script>`}))
	a.Want(t, 200, `value="&#34;&gt;&lt;script&gt;`)
	if strings.Contains(a.Page, "<script>") {
		t.Error("markup of a stranger in the page")
	}
}

// random is what is new on each page: the sealed flow and the challenge in it.
var random = regexp.MustCompile(`((?:value|data-options|href)=)"[^"]{60,}"`)

// A page must not tell an unknown name from a wrong password.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	h.update(func(tx *fsm.Tx) error {
		u, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "sleeps", Name: "S", Disabled: true})
		if err != nil {
			return err
		}
		return credential.SetPassword(tx, identity.DefaultTenant, u.ID, "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	})
	pages := map[string]string{}
	for _, name := range []string{"tester", "nobody", "sleeps"} {
		s := h.someone()
		flow := s.form("/login")
		a := s.try(flow, name, "wrong password")
		a.Want(t, 401)
		pages[name] = strings.ReplaceAll(random.ReplaceAllString(a.Page, "$1"), name, "NAME")
	}
	if pages["tester"] != pages["nobody"] || pages["tester"] != pages["sleeps"] {
		t.Errorf("the pages differ:\n%s\n%s\n%s", pages["tester"], pages["nobody"], pages["sleeps"])
	}
}

func TestFlowBelongsToOneBrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	victim, attacker := h.someone(), h.someone()
	flow := attacker.form("/login")
	victim.try(flow, "tester", secret).Want(t, 410, "begun in another browser")
	victim.Get("/login?flow="+flow).Want(t, 410)
	// Not bound to anybody yet, as it left the protocol.
	victim.try(h.begin(authn.Need{ReturnTo: "/"}), "tester", secret).Want(t, 410)
	for _, bad := range []string{"", "x", strings.Repeat("A", 9000), "%00", "ü"} {
		victim.try(bad, "tester", secret).Want(t, 410)
	}
	if h.sessions() != 0 {
		t.Errorf("%d sessions, want none", h.sessions())
	}
}

// Two tabs of one browser: both flows work, and the one that comes second is passed on.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	first := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/one"}))
	second := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/two"}))
	strict := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/three", Login: true}))
	h.cluster.Pass(t, time.Second) // nobody types within the millisecond in which a flow is begun
	s.try(first, "tester", secret).Want(t, 200)
	if a := s.Get("/login?flow=" + second); a.StatusCode != 303 || a.Header.Get("Location") != "/two" {
		t.Errorf("second tab: %d %q", a.StatusCode, a.Header.Get("Location"))
	}
	s.Get("/login?flow="+strict).Want(t, 200, `name="password"`)
	s.try(second, "tester", secret).Want(t, 200)
	if h.sessions() != 1 {
		t.Errorf("%d sessions of one browser, want 1", h.sessions())
	}
}

func TestEmptyFieldsAreNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	flow := s.form("/login")
	s.try(flow, "", secret).Want(t, 400, `id="username-error"`, `aria-describedby=" username-error"`)
	s.try(flow, strings.Repeat("x", 300), secret).Want(t, 400, `id="username-error"`)
	s.try(flow, "tester", strings.Repeat("x", 2000)).Want(t, 400, `id="password-error"`, `value="tester"`)
}

// hiddenPassword is the part of the form that has the password, until there is a name.
var hiddenPassword = regexp.MustCompile(`<div class="field" hidden data-later>\s*<label for="password"`)

// The password is asked for after the name, in one form: for whoever has no scripts in two steps, of which the first
// tells nothing, counts nothing and writes nothing.
func TestNameFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.PerAddress = limit.Rate{Burst: 2, Every: time.Hour} })
	before := h.cluster.Entries()
	pages := map[string]string{}
	for _, name := range []string{"tester", "nobody"} {
		s := h.someone()
		a := s.Get("/login")
		if !hiddenPassword.MatchString(a.Page) || strings.Count(a.Page, " required") != 1 || !strings.Contains(a.Page, `>Continue<`) {
			t.Errorf("the form does not ask for the name first: %s", a.Page)
		}
		flow := a.Hidden("flow")[0]
		for range 5 {
			a = s.Post("/login", url.Values{"flow": {flow}, "username": {name}, "password": {""}, "stay": {"yes"}})
			a.Want(t, 200, `value="`+name+`"`)
		}
		if strings.Contains(a.Page, " hidden data-later") || !regexp.MustCompile(`<input id="password"[^>]* required autofocus>`).MatchString(a.Page) || strings.Contains(a.Page, "aria-invalid") {
			t.Errorf("the form does not ask for the password of %s: %s", name, a.Page)
		}
		pages[name] = strings.ReplaceAll(random.ReplaceAllString(a.Page, "$1"), name, "NAME")
	}
	if diff := cmp.Diff(pages["nobody"], pages["tester"]); diff != "" {
		t.Errorf("the pages differ: %s", diff)
	}
	if n := h.cluster.Entries() - before; n != 0 {
		t.Errorf("names alone made %d log entries", n)
	}
	s := h.someone()
	s.Post("/login", url.Values{"flow": {h.begin(authn.Need{ReturnTo: "/"})}, "username": {"tester"}}).Want(t, 410)
	flow := s.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/", LoginHint: "tester"}))
	if a := s.Get("/login?flow=" + flow); strings.Contains(a.Page, " hidden data-later") {
		t.Errorf("a known name, and no password: %s", a.Page)
	}
	s.try(flow, "tester", "wrong").Want(t, 401)
	if a := s.try(flow, "tester", "wrong"); strings.Contains(a.Page, " hidden data-later") {
		t.Errorf("a wrong password, and none to be typed: %s", a.Page)
	}
}

func TestAddressIsLimited(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.PerAddress = limit.Rate{Burst: 2, Every: 90 * time.Second} })
	s := h.someone()
	flow := s.form("/login")
	for range 5 { // not counted: they were right
		h.someone().signIn()
	}
	s.try(flow, "a", "wrong").Want(t, 401)
	s.try(flow, "b", "wrong").Want(t, 401)
	a := s.try(flow, "tester", secret)
	a.Want(t, 429, "Please wait a little", "2 minutes", `href="/login?flow=`)
	if got := a.Header.Get("Retry-After"); got != "90" && got != "89" {
		t.Errorf("Retry-After %q", got)
	}
	if h.sessions() != 5 {
		t.Errorf("%d sessions, want 5", h.sessions())
	}
}

// Whoever uses up what an address may try does not lock out those behind it who have signed in
// before in their browser.
func TestKnownBrowsersHaveALimitOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.PerAddress = limit.Rate{Burst: 2, Every: 90 * time.Second} })
	known, stranger := h.someone(), h.someone()
	known.signIn()
	flow := stranger.form("/login")
	stranger.try(flow, "a", "wrong").Want(t, 401)
	stranger.try(flow, "b", "wrong").Want(t, 401)
	stranger.try(flow, "tester", secret).Want(t, 429)
	flow = known.form("/login?flow=" + h.begin(authn.Need{ReturnTo: "/", Login: true}))
	known.try(flow, "tester", "wrong").Want(t, 401)
	known.try(flow, "tester", "wrong").Want(t, 401)
	known.try(flow, "tester", secret).Want(t, 429) // nor does it have more than others
}

func TestNameIsLimited(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	flow := s.form("/login")
	for range 40 {
		if a := s.try(flow, "tester", "wrong"); a.StatusCode == http.StatusTooManyRequests {
			a.Want(t, 429, "You can try again in")
			if a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return
		}
	}
	t.Error("forty wrong passwords for one name and no limit")
}

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	a := s.Get("/t/acme/login")
	a.Want(t, 200, `action="/t/acme/login"`)
	flow := a.Hidden("flow")[0]
	s.try(flow, "tester", secret).Want(t, 410) // at the default tenant
	a = s.Post("/t/acme/login", url.Values{"flow": {flow}, "username": {"tester"}, "password": {secret}})
	a.Want(t, 200)
	if got := a.Header.Get("Refresh"); !strings.HasPrefix(got, "0; url=/t/acme/?"+authn.TicketParameter) {
		t.Errorf("Refresh: %q", got)
	}
	s.Get("/t/acme/").Want(t, 200, "Hello, Test User", `href="/t/acme/logout"`)
	s.Get("/").Want(t, 200, "Who are you?")
}

func TestCookieNames(t *testing.T) {
	t.Parallel()
	for want, tenant := range map[string]identity.Tenant{
		"quis_session":             {Issuer: "http://localhost:8080"},
		"__Host-quis_session":      {Issuer: "https://id.example.com"},
		"__Host-quis_session_acme": {Issuer: "https://id.example.com/t/acme", Slug: "acme"},
	} {
		if got := SessionCookie(tenant); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{Issuer: "https://id.example.com"}))
	write(w, r, sessionCookie, "v", 0)
	if got := w.Header().Get("Set-Cookie"); got != "__Host-quis_session=v; Path=/; HttpOnly; Secure; SameSite=Lax" {
		t.Error(got)
	}
}

func TestWithoutALeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s, in := h.someone(), h.someone()
	in.signIn()
	flow := s.form("/login")
	h.cluster.SetLeader(false)
	a := s.try(flow, "tester", secret)
	a.Want(t, 503, "We will be right back")
	if a.Header.Get("Retry-After") == "" || len(a.Cookies()) != 0 {
		t.Errorf("headers %v", a.Header)
	}
	in.Post("/logout", nil).Want(t, 503)
	h.cluster.SetLeader(true)
	in.Get("/").Want(t, 200, "Hello, Test User") // the cookie is still there, as is the session
	s.try(flow, "tester", secret).Want(t, 200)
}

func TestOversizedForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	s.try(s.form("/login"), "tester", strings.Repeat("x", 70_000)).Want(t, 413, "That is too much at once")
	s.try(s.form("/login"), "tester", strings.Repeat("x", 5_000)).Want(t, 400)
	r, err := http.NewRequest(http.MethodPost, h.url+"/login", strings.NewReader("flow=%zz"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.Do(r).Want(t, 400, "could not be read")
}

// TestPostedResponseCannotBeFramedOrLeak: RFC 9700, sections 4.16 and 4.2, on the one page whose
// policy is not that of all others.
func TestPostedResponseCannotBeFramedOrLeak(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Post(w, get("/oauth2/authorize"), oidc.PostedForm{Application: "Web", Action: "https://app.example.com/cb", Source: "https://app.example.com", Fields: url.Values{"code": {"CODE"}}})
	h := w.Header()
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"frame-ancestors 'none'", "default-src 'none'", "script-src 'self'", "form-action 'self' https://app.example.com;"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if h.Get("Referrer-Policy") != "strict-origin" || h.Get("Cache-Control") != "no-store" || h.Get("Location") != "" {
		t.Errorf("%v", h)
	}
	w = httptest.NewRecorder()
	Post(w, get("/oauth2/authorize"), oidc.PostedForm{Application: "Web", Action: "javascript:alert(1)", Source: "https://a; script-src *"})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "javascript:") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A page that wants a proof as fresh as can be, a moment after somebody has signed in: the
// flow was begun after that, though within the same second, and leads nowhere before it is given.
func TestAFlowIsBegunWhenItIsBegun(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	s := h.someone()
	s.signIn()
	fresh := time.Duration(0)
	for range 3 {
		if a := s.Get("/login?flow=" + h.begin(authn.Need{ReturnTo: "/account", MaxAge: &fresh})); a.StatusCode != http.StatusOK {
			t.Errorf("%d, to %s", a.StatusCode, a.Header.Get("Location"))
		}
	}
}
