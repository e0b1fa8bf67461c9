package approval

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
)

// told are the subscriptions of ada's browsers.
func (h *house) told() (all []push.Subscription) {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) (err error) {
		all, err = push.Of(tx, ten, h.Users["ada"])
		return err
	})
	return all
}

// subscription is what the script of a browser would post.
func subscription(t *testing.T, endpoint string) url.Values {
	t.Helper()
	b, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"endpoint": {endpoint}, "p256dh": {b.P256DH()}, "auth": {b.Auth()}}
}

// here is the page of the browser itself, among the approvers.
func (s *someone) here() string {
	s.T.Helper()
	all := s.approvers()
	return "/account/security/approvers/" + all[len(all)-1].ID
}

const endpoint = "https://push.example.com/laptop"

// subscribe does on the page of the browser what its script would.
func (s *someone) subscribe(t *testing.T, endpoint string) {
	t.Helper()
	s.Get(s.here()).Want(t, 200, "data-push=")
	s.done(s.here()+"/tell", subscription(t, endpoint)).Want(t, 200, "shows you a message when a sign-in waits")
}

func TestABrowserIsNotified(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	laptop.Get("/account/security").Want(t, 200, "Notify this browser", laptop.here()+"#push")
	offer := laptop.Get(laptop.here()).Want(t, 200, "hidden data-push=", `data-worker="/account/worker.js"`, "JavaScript is switched off")
	if key := offer.One(t, `data-push="([^"]+)"`); len(key) != 87 {
		t.Errorf("key %q", key)
	}
	before := h.Cluster.Entries()
	posted := laptop.Post(laptop.here()+"/tell", subscription(t, endpoint)).Want(t, 303)
	if n := h.Cluster.Entries() - before; n != 1 {
		t.Errorf("subscribing costs %d entries", n)
	}
	laptop.Get(posted.Header.Get("Location")).Want(t, 200, "shows you a message when a sign-in waits", "Shows a message when a sign-in waits")
	told := h.told()
	if len(told) != 1 || told[0].Endpoint != endpoint || told[0].Language != "en" || told[0].Expires.IsZero() {
		t.Fatalf("%+v", told)
	}

	go h.push.Run(t.Context())
	h.asking()
	if to := <-h.messages; to != endpoint {
		t.Errorf("sent to %s", to)
	}
	laptop.Get(laptop.here()).Want(t, 200, "as long as you are signed in here", `data-push-stop="/account/"`)
	laptop.done(laptop.here()+"/quiet", nil).Want(t, 200, "shows no messages any more")
	if len(h.told()) > 0 {
		t.Error("it is told still")
	}
}

// mark is what pages of the browser compare its subscription with.
func (s *someone) mark(t *testing.T) string {
	t.Helper()
	return s.Get("/account").Want(t, 200, `data-scope="/account/"`).One(t, `data-push-mark="([^"]*)"`)
}

// bound is a form with the key that the subscription of the browser was made with.
func bound(form url.Values, key string) url.Values {
	form.Set("key", key)
	return form
}

// A browser that has another subscription than the one that is known says so by itself; the
// new one stands in the place of the old one.
func TestASubscriptionIsFollowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	next := subscription(t, "https://push.example.com/next")
	if a := laptop.Get("/account").Want(t, 200); strings.Contains(a.Page, "data-push-mark") {
		t.Error("the page looks for a subscription that nobody wants")
	}
	laptop.Post(followPath, next).Want(t, 404)
	laptop.subscribe(t, endpoint)
	before := laptop.mark(t)
	key := laptop.Post(followPath, nil).Want(t, 200)
	if !strings.HasPrefix(key.Header.Get("Content-Type"), "text/plain") || key.Header.Get("Cache-Control") != "no-store" || len(key.Page) != 87 {
		t.Errorf("%v %q", key.Header, key.Page)
	}
	if a := laptop.Post(followPath, bound(next, strings.Repeat("A", 87))).Want(t, 200); a.Page != key.Page {
		t.Errorf("bound to another key: %q", a.Page)
	}
	if told := h.told(); len(told) != 1 || told[0].Endpoint != endpoint {
		t.Fatalf("%+v", told)
	}
	entries := h.Cluster.Entries()
	for range 2 { // saying it again costs nothing
		laptop.Post(followPath, bound(next, key.Page)).Want(t, 204)
	}
	if n := h.Cluster.Entries() - entries; n != 1 {
		t.Errorf("it costs %d entries", n)
	}
	if told := h.told(); len(told) != 1 || told[0].Endpoint != next.Get("endpoint") || laptop.mark(t) == before || laptop.mark(t) == "" {
		t.Errorf("%+v, mark %q", told, laptop.mark(t))
	}
	go h.push.Run(t.Context())
	h.asking()
	if to := <-h.messages; to != next.Get("endpoint") {
		t.Errorf("sent to %s", to)
	}
	laptop.done(laptop.here()+"/quiet", nil)
	laptop.Post(followPath, bound(next, key.Page)).Want(t, 404)
	if told := h.told(); len(told) > 0 {
		t.Errorf("switched off, and told again: %+v", told)
	}
}

// A browser that has what its push service calls gone is told to subscribe anew, however often it says so,
// and the dead address is not kept again.
func TestWhatIsGoneIsNotFollowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	laptop.subscribe(t, endpoint)
	key := laptop.Post(followPath, nil).Want(t, 200).Page
	gone, next := bound(subscription(t, endpoint+"/gone"), key), bound(subscription(t, endpoint+"/next"), key)
	laptop.Post(followPath, gone).Want(t, 204)
	go h.push.Run(t.Context())
	h.asking()
	<-h.messages
	for tick := time.Tick(5 * time.Millisecond); laptop.mark(t) != ""; {
		select {
		case <-tick:
		case <-t.Context().Done():
			t.Fatal("it is not given up")
		}
	}
	entries := h.Cluster.Entries()
	for range 2 {
		if a := laptop.Post(followPath, gone).Want(t, 200); a.Page != key {
			t.Errorf("the key is %q, want %q", a.Page, key)
		}
	}
	if n := h.Cluster.Entries() - entries; n != 0 || laptop.mark(t) != "" {
		t.Errorf("%d entries, mark %q", n, laptop.mark(t))
	}
	laptop.Post(followPath, next).Want(t, 204)
	if told := h.told(); len(told) != 1 || told[0].Endpoint != next.Get("endpoint") || laptop.mark(t) == "" {
		t.Errorf("%+v", told)
	}
}

// What a browser says by itself is checked like what its person says, and does not count as
// their doing.
func TestFollowingIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop, elsewhere := h.approver(), h.enter()
	laptop.subscribe(t, endpoint)
	key := laptop.Post(followPath, nil).Want(t, 200).Page
	for _, bad := range []string{"https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "http://push.example.com/x", "https://push.example.com:22/x", "https://user@push.example.com/"} {
		if a := laptop.Post(followPath, bound(subscription(t, bad), key)); a.StatusCode/100 != 4 {
			t.Errorf("%s: %d", bad, a.StatusCode)
		}
	}
	good := bound(subscription(t, "https://push.example.com/next"), key)
	elsewhere.Post(followPath, good).Want(t, 404)
	h.someone().Post(followPath, good).Want(t, 401)
	for _, site := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"https://evil.example"}}} {
		laptop.Send(http.MethodPost, followPath, good, site).Want(t, 403)
	}
	if told := h.told(); len(told) != 1 || told[0].Endpoint != endpoint {
		t.Errorf("%+v", told)
	}
	h.Pass(70 * time.Minute)
	laptop.Post(followPath, nil).Want(t, 200)
	h.Pass(70 * time.Minute)
	laptop.Post(followPath, good).Want(t, 401)
}

// What a subscription hangs on takes it along.
func TestSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *house, laptop, other *someone){
		"sign-out":       func(_ *house, laptop, _ *someone) { laptop.Post("/logout", nil) },
		"ended":          func(_ *house, _, other *someone) { other.done("/account/sessions", url.Values{"others": {"yes"}}) },
		"approver taken": func(_ *house, laptop, other *someone) { other.Post(laptop.here()+"/remove", nil).Want(laptop.T, 303) },
		"all taken": func(h *house, _, _ *someone) {
			h.Update(func(tx *fsm.Tx) error { return approval.RemoveAll(tx, ten, h.Users["ada"], "test") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			laptop := h.approver()
			laptop.subscribe(t, endpoint)
			other := h.enter()
			if len(h.told()) != 1 {
				t.Fatal("not subscribed")
			}
			end(h, laptop, other)
			if told := h.told(); len(told) > 0 {
				t.Errorf("left: %+v", told)
			}
		})
	}
}

// A browser in which nobody has been active for too long is not told: whoever opens it would
// have to sign in first.
func TestIdleBrowsersAreNotTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop := h.approver()
	laptop.subscribe(t, endpoint)
	h.Pass(3 * time.Hour)
	second := h.approver() // a second one, who is there
	second.subscribe(t, "https://push.example.com/second")
	go h.push.Run(t.Context())
	h.asking()
	if to := <-h.messages; to != "https://push.example.com/second" {
		t.Errorf("sent to %s", to)
	}
	if len(h.messages) > 0 {
		t.Errorf("and to %s", <-h.messages)
	}
}

func TestRefusesToNotify(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop, elsewhere := h.approver(), h.enter()
	good := subscription(t, endpoint)
	for _, bad := range []string{"https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "https://localhost/x", "http://push.example.com/x", "https://push.example.com:22/x", "https://user@push.example.com/", ""} {
		form := url.Values{"endpoint": {bad}, "p256dh": good["p256dh"], "auth": good["auth"]}
		if a := laptop.Post(laptop.here()+"/tell", form); a.StatusCode/100 != 4 {
			t.Errorf("%s: %d", bad, a.StatusCode)
		}
	}
	laptop.Post(laptop.here()+"/tell", url.Values{"endpoint": {endpoint}, "p256dh": {"x"}, "auth": good["auth"]}).Want(t, 400)
	elsewhere.Post(laptop.here()+"/tell", good).Want(t, 404)
	elsewhere.Post(laptop.here()+"/quiet", nil).Want(t, 404)
	if a := elsewhere.Get(laptop.here()).Want(t, 200); strings.Contains(a.Page, "data-push") {
		t.Error("another browser is offered to be notified")
	}
	grace := h.someone()
	grace.SignIn(grace.Get("/account"), "", "grace", portaltest.Password)
	grace.Post(laptop.here()+"/tell", good).Want(t, 404)
	h.older = true
	laptop.Post(laptop.here()+"/tell", good).Want(t, 503)
	if a := laptop.Get(laptop.here()).Want(t, 200, "Save the name"); strings.Contains(a.Page, "data-push") {
		t.Error("it is offered before all members know of it")
	}
	if told := h.told(); len(told) > 0 {
		t.Errorf("%+v", told)
	}
	h.older = false
	h.Cluster.LoseAnswers(1) // the key's
	if a := laptop.Get(laptop.here()).Want(t, 200, "Save the name"); strings.Contains(a.Page, "data-push") {
		t.Error("it is offered although nobody knows the key")
	}
	laptop.Get(laptop.here()).Want(t, 200, "data-push=")
}

// The worker is the same for everybody, and may do nothing but show, open, and say at one address
// of ours what it is pushed to.
func TestTheWorker(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.someone().Get("/account/worker.js").Want(t, 200, "notificationclick", "approvals/sign-in", "recovery: at(", "password: at(", "Object.hasOwn(pages, said.news)", "pushsubscriptionchange")
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/javascript") || a.Header.Get("Cache-Control") != "no-cache" ||
		!slices.Equal(a.Header.Values("Content-Security-Policy"), []string{"default-src 'none'; connect-src 'self'; require-trusted-types-for 'script'"}) {
		t.Errorf("%v", a.Header)
	}
	for _, word := range []string{"eval", "importScripts", "postMessage"} {
		if strings.Contains(a.Page, word) {
			t.Errorf("the worker can %s", word)
		}
	}
	if strings.Count(a.Page, "fetch(") != 1 || !strings.Contains(a.Page, "fetch(subscription, {method: 'POST'") || !strings.Contains(a.Page, "'"+strings.TrimPrefix(followPath, "/account/")+"'") {
		t.Error("the worker can ask more than one address")
	}
}
