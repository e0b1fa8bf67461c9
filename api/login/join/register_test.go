package join

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

func unescape(s string) string { return html.UnescapeString(s) }

// ask has a code sent, and returns the form that asks for it.
func ask(t *testing.T, b *pagetest.Browser, path, email string) (pagetest.Answer, url.Values) {
	t.Helper()
	a := b.Get(path).Want(t, 200)
	a = b.Post("/register", url.Values{"flow": a.Hidden("flow"), "email": {email}}).Want(t, 200, `name="join"`)
	return a, url.Values{"flow": a.Hidden("flow")[:1], "join": a.Hidden("join")}
}

func TestStrangerRegisters(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(*settings.Authentication) {})
	b := h.someone(0)
	sealed, err := h.flows[0].Begin(identity.WithTenant(t.Context(), identity.Tenant{ID: ten}), authn.Need{ReturnTo: "/oauth2/authorize?client_id=web", Application: "Web"})
	if err != nil {
		t.Fatal(err)
	}
	a := b.Get("/login?flow="+sealed).Want(t, 200, "No account yet?")
	path := unescape(a.One(t, `href="(/register\?[^"]+)"`))
	b.Get(path).Want(t, 200, "to continue to Web")
	before := h.log.Entries()
	_, form := ask(t, b, path, "grace@example.com")
	m := h.letter()
	form.Set("code", "999 999")
	if codeOf(t, m) == "999999" {
		form.Set("code", "999998")
	}
	b.Post("/register/code", form).Want(t, 422, "That code is not right")
	form.Set("code", codeOf(t, m))
	a = b.Post("/register/code", form).Want(t, 200, "Make your account", "grace@example.com")
	if h.log.Entries() != before {
		t.Error("something is stored before the address was proved and an account made")
	}
	form = url.Values{"flow": a.Hidden("flow"), "proved": a.Hidden("proved"), "name": {"Grace"}}
	b.Post("/register/account", form).Want(t, 422, `id="password-error"`, `value="Grace"`)
	form.Set("password", "a compiler of many words")
	if to := isIn(t, b.Post("/register/account", form)); to != "/oauth2/authorize?client_id=web" {
		t.Errorf("led to %s", to)
	}
	u, sessions := h.user("grace@example.com")
	if u == nil || u.Name != "Grace" || !u.EmailVerified || len(sessions) != 1 || !assurance.Has(sessions[0].Factors, assurance.Mail) {
		t.Errorf("%+v %+v", u, sessions)
	}
	b.Post("/register/account", form).Want(t, 422, "There is an account with this address already")
}

// TestLinkWorksInAnotherBrowser: it is the mail that proves the address, and a scanner of mail
// that looks at the link uses nothing up.
func TestLinkWorksInAnotherBrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.decide(func(*settings.Authentication) {})
	ask(t, h.someone(0), "/register", "grace@example.com")
	link := linkOf(t, h.letter())
	b := h.someone(1)
	for range 2 {
		b.Get(link).Want(t, 200, "You followed the link")
	}
	a := b.Get(link)
	a = b.Post("/register/code", url.Values{"flow": a.Hidden("flow")[:1], "join": a.Hidden("join"), "code": a.Hidden("code")}).Want(t, 200, "Make your account")
	form := url.Values{"flow": a.Hidden("flow"), "proved": a.Hidden("proved"), "name": {"Grace"}}
	key := &passkeytest.Authenticator{Origin: publicURL, UV: true}
	p := b.Post("/register/passkey", form).Want(t, 200, `data-passkey="create"`)
	instead := url.Values{"flow": p.Hidden("flow")[:1], "proved": p.Hidden("proved")[:1], "name": p.Hidden("name")[:1], "instead": p.Hidden("instead")}
	b.Post("/register/passkey", instead).Want(t, 200, `name="password"`, `value="Grace"`)
	response, err := key.Create([]byte(unescape(p.One(t, `data-options="([^"]+)"`))))
	if err != nil {
		t.Fatal(err)
	}
	form.Set("session", p.Hidden("session")[0])
	form.Set("response", string(response))
	isIn(t, b.Post("/register/account", form))
	if u, sessions := h.user("grace@example.com"); u == nil || len(sessions) != 1 || !assurance.Has(sessions[0].Factors, assurance.Passkey) {
		t.Errorf("%+v %+v", u, sessions)
	}
}

// TestNobodyLearnsWhoIsHere: the answers about an address that is somebody's are those about
// any other; who has it hears of it.
func TestNobodyLearnsWhoIsHere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(*settings.Authentication) {})
	sealed := regexp.MustCompile(`[A-Za-z0-9_-]{60,}`)
	bare := func(a pagetest.Answer) string {
		page := strings.NewReplacer("ada@example.com", "X", "bob@example.com", "X").Replace(sealed.ReplaceAllString(a.Page, "SEALED"))
		return a.Status + page
	}
	free, ff := ask(t, h.someone(0), "/register", "bob@example.com")
	m := h.letter()
	taken, tf := ask(t, h.someone(0), "/register", "ada@example.com")
	if len(free.Page) != len(taken.Page) || bare(free) != bare(taken) {
		t.Errorf("%s\n%s", free.Page, taken.Page)
	}
	other := h.letter()
	if m.To.Mailbox != "bob@example.com" || other.To.Mailbox != "ada@example.com" || !strings.Contains(other.Subject, "You have an account") || codeForm.MatchString(other.Text) {
		t.Errorf("%s: %s", other.Subject, other.Text)
	}
	b := h.someone(0)
	flow := b.Get("/register").Hidden("flow")
	for i := range 8 {
		guess := string(rune('1'+i)) + "00000"
		if guess == codeOf(t, m) {
			continue
		}
		f := b.Post("/register/code", url.Values{"flow": flow, "join": ff["join"], "code": {guess}})
		k := b.Post("/register/code", url.Values{"flow": flow, "join": tf["join"], "code": {guess}})
		if bare(f) != bare(k) {
			t.Errorf("guess %d: %s\n%s", i, f.Page, k.Page)
		}
	}
}

func TestRegistrationIsClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	b := h.someone(0)
	closed := func() {
		t.Helper()
		b.Get("/register").Want(t, http.StatusForbidden, "You cannot make yourself an account here")
		b.Post("/register", url.Values{"email": {"grace@example.com"}}).Want(t, http.StatusForbidden)
		if a := b.Get("/login"); strings.Contains(a.Page, "/register") {
			t.Errorf("the login page leads there: %s", a.Page)
		}
	}
	closed()
	h.decide(func(s *settings.Authentication) { s.SelfRegistration = false })
	closed()
	h.decide(func(s *settings.Authentication) { s.Registration.Domains = []string{"example.org"} })
	flow := b.Get("/register").Want(t, 200).Hidden("flow")
	b.Post("/register", url.Values{"flow": flow, "email": {"grace@example.com"}}).Want(t, 422, "Addresses of this domain cannot be used here")
	b.Post("/register", url.Values{"flow": flow, "email": {"grace"}}).Want(t, 422, "This is not an email address")
	b.Get("/register?join=AAAA&token=AAAA").Want(t, http.StatusGone, "This page no longer works")
	for _, path := range []string{"/register/account", "/register/passkey"} {
		b.Post(path, url.Values{"flow": flow, "proved": {"AAAA"}, "password": {"a compiler of many words"}}).Want(t, http.StatusGone)
	}
}

// TestMailOfStrangersIsLimited: by network, whatever the address and whoever has it.
func TestMailOfStrangersIsLimited(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(*settings.Authentication) {})
	b := h.someone(0)
	flow := b.Get("/register").Hidden("flow")
	for i := range PerNetwork.Burst {
		b.Post("/register", url.Values{"flow": flow, "email": {string(rune('a'+i)) + "@example.com"}}).Want(t, 200)
	}
	for _, email := range []string{"z@example.com", "ada@example.com"} {
		if a := b.Post("/register", url.Values{"flow": flow, "email": {email}}).Want(t, http.StatusTooManyRequests); a.Header.Get("Retry-After") == "" {
			t.Error("it does not say until when")
		}
	}
}

// TestWhoTakesTheirTimeRegisters: the way on is there for as long as each page is looked at for less than a quarter
// of an hour, and the account for a day.
func TestWhoTakesTheirTimeRegisters(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(*settings.Authentication) {})
	sealed, err := h.flows[0].Begin(identity.WithTenant(t.Context(), identity.Tenant{ID: ten}), authn.Need{ReturnTo: "/oauth2/authorize?client_id=web"})
	if err != nil {
		t.Fatal(err)
	}
	b := h.someone(0)
	a := b.Get("/register?flow="+sealed).Want(t, 200)
	h.log.Pass(t, 13*time.Minute)
	a = b.Post("/register", url.Values{"flow": a.Hidden("flow"), "email": {"grace@example.com"}}).Want(t, 200)
	h.log.Pass(t, 9*time.Minute)
	a = b.Post("/register/code", url.Values{"flow": a.Hidden("flow")[:1], "join": a.Hidden("join"), "code": {codeOf(t, h.letter())}}).Want(t, 200)
	h.log.Pass(t, 13*time.Minute)
	form := url.Values{"flow": a.Hidden("flow"), "proved": a.Hidden("proved"), "password": {"short"}}
	b.Post("/register/account", form).Want(t, 422)
	form.Set("password", "a compiler of many words")
	if to := isIn(t, b.Post("/register/account", form)); to != "/oauth2/authorize?client_id=web" {
		t.Errorf("led to %s", to)
	}
	other := h.someone(0)
	_, form = ask(t, other, "/register", "ida@example.com")
	form.Set("code", codeOf(t, h.letter()))
	a = other.Post("/register/code", form).Want(t, 200)
	h.log.Pass(t, 20*time.Hour)
	isIn(t, other.Post("/register/account", url.Values{"flow": a.Hidden("flow"), "proved": a.Hidden("proved"), "password": {"a compiler of many words"}}))
}

// TestCodesAreNotGuessed: another code for an address is not another five guesses. Who types the right
// one meanwhile is told to wait, not that it is wrong, and who follows the link goes on.
func TestCodesAreNotGuessed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(*settings.Authentication) {})
	b := h.someone(0)
	_, form := ask(t, b, "/register", "grace@example.com")
	form.Set("code", "000000")
	if codeOf(t, h.letter()) == "000000" {
		form.Set("code", "000001")
	}
	for range 5 {
		b.Post("/register/code", form).Want(t, 422, "That code is not right")
	}
	_, form = ask(t, b, "/register", "grace@example.com")
	m := h.letter()
	form.Set("code", codeOf(t, m))
	a := b.Post("/register/code", form).Want(t, http.StatusTooManyRequests, "Too many attempts. Wait a moment", `name="code"`)
	if a.Header.Get("Retry-After") == "" || strings.Contains(a.Page, "That code is not right") {
		t.Errorf("%s", a.Page)
	}
	a = b.Get(linkOf(t, m)).Want(t, 200, "You followed the link")
	b.Post("/register/code", url.Values{"join": a.Hidden("join"), "code": a.Hidden("code")}).Want(t, 200, "Make your account")
}

// TestOldProofIsNoFreshOne: the mailbox was proved when it was, not when the account is made; and what
// proved it makes no other account, in whatever browser it was kept.
func TestOldProofIsNoFreshOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.decide(func(*settings.Authentication) {})
	form := h.proves(h.someone(0), "ida@example.com")
	h.log.Pass(t, 23*time.Hour)
	isIn(t, h.someone(0).Post("/register/account", form))
	u, sessions := h.user("ida@example.com")
	age := map[assurance.Method]time.Duration{}
	for _, f := range sessions[0].Factors {
		age[f.Method] = h.log.DB[0].Now().Sub(f.At).Round(time.Hour)
	}
	if age[assurance.Mail] != 23*time.Hour || age[assurance.Password] != 0 {
		t.Errorf("proved %v ago", age)
	}
	h.update(func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, u.ID, 0) })
	before := h.hashes()
	for node := range 2 {
		h.someone(node).Post("/register/account", form).Want(t, http.StatusGone, "This page no longer works")
	}
	if n := h.hashes() - before; n != 0 {
		t.Errorf("%d hashes", n)
	}
}
