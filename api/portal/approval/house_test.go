package approval

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/pending"
)

const (
	ten     = identity.DefaultTenant
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// house is a house with sign-in and this section. Ada has a password and an authenticator app,
// grace a password.
type house struct {
	*portaltest.House
	secret []byte // of ada's app
	older  bool   // a member is of an older release
	push   *push.Room

	messages chan string // where push messages go to
}

func newHouse(t *testing.T) *house { return newHouseOver(t, 1)[0] }

// newHouseOver is newHouse of several nodes.
func newHouseOver(t *testing.T, nodes int) (all []*house) {
	t.Helper()
	messages := make(chan string, 10)
	for _, h := range portaltest.NewOver(t, nodes, pending.Tables...) {
		all = append(all, &house{House: h, messages: messages})
	}
	for _, name := range []string{"ada", "grace"} {
		all[0].Person(directory.User{Username: name, Email: name + "@example.com"}, true)
	}
	all[0].populate()
	for _, h := range all {
		h.open()
	}
	return all
}

func (h *house) open() {
	h.push = push.New(push.Config{DB: h.DB, Ring: h.Ring, Post: h.pushed, Lifetime: approval.Lifetime, Logger: slog.New(slog.DiscardHandler)})
	h.SignIn(authn.Config{Tell: h.push.Tell})
	h.Open(h.Login(login.Config{}), h.Portal(New(Config{DB: h.DB, Ring: h.Ring, Cookie: login.ApproverCookie, PushKey: h.push.Key, Check: fetch.New(fetch.Config{}).Check, Use: func(context.Context) error {
		if h.older {
			return fsm.ErrUnavailable
		}
		return nil
	}})))
}

// pushed notes where a push message goes. Its service knows no subscription that ends with "gone".
func (h *house) pushed(_ context.Context, url string, _ http.Header, _ []byte) (int, error) {
	h.messages <- url
	if strings.HasSuffix(url, "gone") {
		return http.StatusGone, nil
	}
	return http.StatusCreated, nil
}

// populate gives ada her app.
func (h *house) populate() {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) (err error) {
		_, h.secret, err = totptest.Add(tx, h.Ring, ten, h.Users["ada"], "telephone")
		return err
	})
	h.Pass(30 * time.Second)
}

// approvers are ada's.
func (h *house) approvers() (all []approval.Approver) {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) (err error) {
		all, err = approval.List(tx, ten, h.Users["ada"])
		return err
	})
	return all
}

// someone has a browser, without JavaScript.
type someone struct {
	*house
	*pagetest.Browser
}

func (h *house) someone() *someone {
	s := &someone{h, pagetest.NewBrowser(h.T, h.URL)}
	s.Agent = firefox
	return s
}

// half begins to sign ada in and returns the page that asks for the second factor.
func (s *someone) half() pagetest.Answer {
	s.T.Helper()
	to := s.Get("/account").Header.Get("Location")
	flow := s.Get(to).Hidden("flow")
	if len(flow) == 0 {
		s.T.Fatal("no form to sign in with")
	}
	return s.Post("/login", url.Values{"flow": flow[:1], "username": {"ada"}, "password": {portaltest.Password}})
}

// enter signs ada in with her app.
func (h *house) enter() *someone {
	h.T.Helper()
	s := h.someone()
	s.code(s.half())
	return s
}

// code answers the question for the second factor with ada's app.
func (s *someone) code(second pagetest.Answer) {
	s.T.Helper()
	var now time.Time
	s.Update(func(tx *fsm.Tx) error { now = tx.Now(); return nil })
	form := url.Values{"flow": second.Hidden("flow")[:1], "way": {"totp"}, "code": {totp.Parameters{}.Code(s.secret, now)}}
	if done := s.Post("/login/second", form); done.Header.Get("Refresh") == "" {
		s.T.Fatalf("not signed in: %d %s", done.StatusCode, done.Page)
	}
	s.Pass(30 * time.Second)
}

// done posts a form that is taken, and returns the page that it leads to.
func (s *someone) done(path string, form url.Values) pagetest.Answer {
	s.T.Helper()
	return s.Get(s.Post(path, form).Want(s.T, 303).Header.Get("Location"))
}

// approver is a browser in which ada may approve.
func (h *house) approver() *someone {
	h.T.Helper()
	s := h.enter()
	s.done("/account/security/approvers/new", url.Values{"name": {"Laptop"}}).Want(h.T, 200, "you can approve sign-ins in this browser")
	return s
}

// asking is a browser in which ada signs in and waits, with the page that shows the number.
func (h *house) asking() (s *someone, waiting pagetest.Answer, number string) {
	h.T.Helper()
	s = h.someone()
	second := s.half()
	way := strings.ReplaceAll(second.One(h.T, `href="([^"]*way=approval)"`), "&amp;", "&")
	offer := s.Get(way).Want(h.T, 200, "Ask the other browser")
	waiting = s.done("/login/ask", url.Values{"flow": offer.Hidden("flow")[:1]}).Want(h.T, 200, "Type this number there")
	return s, waiting, waiting.One(h.T, `<code>(\d\d)</code>`)
}
