package consent

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation"
	given "github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// asking stands where the authorization endpoint does: it asks whoever is signed in.
type asking struct {
	h     *house
	pages *Pages
	desk  *given.Desk
}

func (a asking) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /test/ask", func(w http.ResponseWriter, r *http.Request) {
		t := identity.TenantFrom(r.Context())
		s, err := a.pages.session(r)
		if err != nil || s == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		app := a.h.apps[t.ID]
		q := given.Question{
			UserID: s.UserID, SessionID: s.ID, Application: app.ID, Family: family.NewID(), Redirect: "https://tv.example/cb?x=1",
			ReturnTo: "/oauth2/authorize?client_id=tv", Scopes: strings.Fields(r.URL.Query().Get("scope")), Locales: r.URL.Query()["ui_locales"],
		}
		var d given.Decision
		err = a.h.db.View(r.Context(), func(tx *fsm.Tx) (err error) {
			d, err = given.Decide(tx, app, s.UserID, given.Asked{Scopes: q.Scopes, Again: true})
			return err
		})
		asked, fault := a.desk.Ask(r.Context(), d, q)
		if err = errors.Join(err, fault); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		a.pages.Ask(w, r, app, asked)
	})
}

var questionField = regexp.MustCompile(`name="question" value="([^"]+)"`)

// enter signs a browser in.
func (h *house) enter(name string) *someone {
	h.t.Helper()
	s := h.someone()
	if to := s.SignIn(s.Get(connectedPath), "", name, "right"); !strings.HasPrefix(to, connectedPath) {
		h.t.Fatalf("led to %s", to)
	}
	return s
}

func (s *someone) asked(scopes string) (pagetest.Answer, string) {
	s.t.Helper()
	a := s.Get("/test/ask?scope=" + url.QueryEscape(scopes))
	m := questionField.FindStringSubmatch(a.Page)
	if m == nil {
		s.t.Fatalf("%d asks nothing: %s", a.StatusCode, a.Page)
	}
	return a, m[1]
}

func (h *house) consent(name string) *given.Consent {
	h.t.Helper()
	var c *given.Consent
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		c, err = given.Get(tx, identity.DefaultTenant, h.users[identity.DefaultTenant+" "+name], h.apps[identity.DefaultTenant].ID)
		return err
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		h.t.Fatal(err)
	}
	return c
}

func TestAPersonIsAskedInPlainWords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	a, question := s.asked("openid email lights:switch")
	a.Want(t, 200, "Allow Television to use your account?", "Know that it is you who signs in", "See your email address", "lights:switch",
		"<strong>tv.example</strong>", "ada", `aria-hidden="true">T<`, `name="scope" value="email" checked`)
	if strings.Contains(a.Page, `name="scope" value="openid"`) || strings.Contains(a.Page, "registered itself") || strings.Contains(a.Page, "<img") {
		t.Error(a.Page)
	}
	before := h.cluster.Entries()
	done := s.Post(questionPath, url.Values{"question": {question}, "decision": {"allow"}, "scope": {"email"}}).Want(t, 200)
	if n := h.cluster.Entries() - before; n != 1 {
		t.Errorf("allowing cost %d log entries", n)
	}
	if to := done.Header.Get("Refresh"); !strings.HasPrefix(to, "0; url=/oauth2/authorize?client_id=tv&consent_done=") {
		t.Errorf("leads to %q", to)
	}
	if c := h.consent("ada"); c == nil || !slices.Equal(c.Scopes, []string{"openid", "email", "lights:switch"}) {
		t.Errorf("remembers %+v", c)
	}
	german := s.Get("/test/ask?scope=openid&ui_locales=de-AT").Want(t, 200)
	if !strings.Contains(german.Page, `<li lang="de">Erkennen`) {
		t.Error(german.Page)
	}
}

func TestRefusingCostsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	_, question := s.asked("openid")
	for _, decision := range []string{"deny", "", "ALLOW", "yes"} {
		before := h.cluster.Entries()
		done := s.Post(questionPath, url.Values{"question": {question}, "decision": {decision}}).Want(t, 200)
		if n := h.cluster.Entries() - before; n != 0 || h.consent("ada") != nil || !strings.Contains(done.Header.Get("Refresh"), "consent_done=") {
			t.Errorf("%q cost %d log entries, leads to %q", decision, n, done.Header.Get("Refresh"))
		}
	}
}

func TestRefusesConsentFromAnotherSite(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	_, question := s.asked("openid")
	form := url.Values{"question": {question}, "decision": {"allow"}}
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
		s.Send("POST", questionPath, form, header).Want(t, 403)
	}
	s.Get(questionPath+"?"+form.Encode()).Want(t, 405) // a link decides nothing
	s.Post(questionPath+"?"+form.Encode(), url.Values{}).Want(t, 410)
	if h.consent("ada") != nil {
		t.Error("it was allowed")
	}
}

func TestRefusesConsentOfAnotherUsersSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ada, grace := h.enter("ada"), h.enter("grace")
	_, question := ada.asked("openid")
	form := url.Values{"question": {question}, "decision": {"allow"}}
	for _, who := range []*someone{grace, h.enter("ada"), h.someone()} { // another user, another session of the same, nobody
		who.Post(questionPath, form).Want(t, 403, "was not put to you")
	}
	if h.consent("ada") != nil || h.consent("grace") != nil {
		t.Error("it was allowed")
	}
	ada.Post(questionPath, form).Want(t, 200)
}

func TestRefusesAnEditedConsentForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	_, question := s.asked("openid email")
	s.Post(questionPath, url.Values{"question": {question}, "decision": {"allow"}, "scope": {"email", "offline_access"}}).Want(t, 400)
	s.Post(questionPath, url.Values{"question": {question[:len(question)-2]}, "decision": {"allow"}}).Want(t, 410)
	if h.consent("ada") != nil {
		t.Error("it was allowed")
	}
}

func TestConsentCannotBeFramed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	a, _ := s.asked("openid")
	policy := a.Header.Get("Content-Security-Policy")
	for _, want := range []string{"frame-ancestors 'none'", "form-action 'self'", "default-src 'none'", "img-src 'self' data:"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("the page may be kept")
	}
}

func TestWhoRegisteredItselfIsPointedOut(t *testing.T) {
	t.Parallel()
	app := &federation.Application{Name: "X", ClientID: "https://app.example/client.json", Registration: federation.Registration{Kind: federation.RegisteredByDocument}, PolicyURI: "javascript:alert(1)"}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	v := showQuestion(r, app, &given.Question{Redirect: "com.example.app:/cb"}, &directory.User{Username: "ada"}, given.Words{})
	if !v.Unverified || v.Document != app.ClientID || v.Policy != "" || !strings.Contains(v.Target, "com.example.app") {
		t.Errorf("%+v", v)
	}
}

func TestInitials(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"invoice robot three": "IR", "Wiki": "W", "ärger-amt": "ÄA", "  ": "", "1Password": "1"} {
		if got := initials(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestAnotherPersonMaySignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	_, question := s.asked("openid")
	a := s.Post(questionPath, url.Values{"question": {question}, "decision": {"other"}})
	s.Get(a.Header.Get("Location")).Want(t, 200, "to continue to Television")
	if to := s.SignIn(a, "", "grace", "right"); !strings.HasPrefix(to, "/oauth2/authorize?client_id=tv&") {
		t.Errorf("led to %s", to)
	}
}

func TestWhatIsHeldIsListedAndTakenBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	s.Get(connectedPath).Want(t, 200, "No application uses your account")
	_, question := s.asked("openid email")
	s.Post(questionPath, url.Values{"question": {question}, "decision": {"allow"}}).Want(t, 200)
	s.Get(connectedPath).Want(t, 200, "Television", "Know that it is you who signs in", "Asks again after")
	h.enter("grace").Get(connectedPath).Want(t, 200, "No application uses your account")

	app := h.apps[identity.DefaultTenant].ID
	form := url.Values{"application": {app}}
	h.enter("grace").Post(connectedPath, form).Want(t, 303) // nothing of hers, and nobody else's
	s.Send("POST", connectedPath, form, http.Header{"Sec-Fetch-Site": {"cross-site"}}).Want(t, 403)
	s.Get(connectedPath).Want(t, 200, "Television")
	before := h.cluster.Entries()
	s.Post(connectedPath, form).Want(t, 303)
	if n := h.cluster.Entries() - before; n != 1 {
		t.Errorf("taking back cost %d log entries", n)
	}
	s.Get(connectedPath+"?done=revoked").Want(t, 200, "The access is removed", "No application uses your account")
	s.Post(questionPath, url.Values{"question": {question}, "decision": {"allow"}}).Want(t, 410)
	s.Get("/").Want(t, 200, `href="/account"`)
}
