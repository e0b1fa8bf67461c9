package browser

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
)

// changes has the push manager of a worker subscribe at an address of the test from now on, as
// one whose browser has lost what it had.
func (b *browser) changes(endpoint string, keys *pushtest.Browser) {
	b.t.Helper()
	run(b, chromedp.Evaluate[bool](fmt.Sprintf(`self.made = looking = null; // it waits for a push service that is out of reach
PushManager.prototype.getSubscription = async () => made;
PushManager.prototype.subscribe = async o => self.made = {
  options: {applicationServerKey: o.applicationServerKey.buffer}, unsubscribe: async () => true,
  toJSON: () => ({endpoint: %q, keys: {p256dh: %q, auth: %q}}),
}, true`, endpoint, keys.P256DH(), keys.Auth())))
}

// known waits until the pages of a node say that the browser's subscription is that of an endpoint.
func (b *browser) known(node, endpoint string) {
	b.t.Helper()
	sum := sha256.Sum256([]byte(endpoint))
	selector := fmt.Sprintf(`[data-push-mark=%q]`, base64.RawURLEncoding.EncodeToString(sum[:]))
	for b.open(node + "/account"); !b.present(selector); b.open(node + "/account") {
		if b.ctx.Err() != nil {
			b.t.Fatalf("the page does not know %s", endpoint)
		}
		b.wait()
	}
}

// TestAChangedSubscriptionIsFollowed: a browser loses its push subscription. A page that is opened
// sees it, and the worker subscribes anew; when the browser says so by itself, the worker does without a page.
func TestAChangedSubscriptionIsFollowed(t *testing.T) {
	service := pushService(t)
	d := testbed.Run(t, 1, portalBootstrap)
	laptop := browserOf(t) // a whole one: only that is told of messages
	keys, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	laptop.subscribes(service.URL+"/laptop", keys)
	laptop.do(chromedp.Navigate(d.Public(1)+"/account/security/apps/new"), chromedp.WaitReady(chromedp.CSS("main")))
	laptop.signIn("ada", "correct horse battery")
	laptop.addApp()
	laptop.isNotified(d.Public(1))
	laptop.known(d.Public(1), service.URL+"/laptop")

	worker := laptop.worker("/account/worker.js")
	worker.changes(service.URL+"/second", keys)
	laptop.known(d.Public(1), service.URL+"/second") // by the pages that are opened meanwhile
	worker.changes(service.URL+"/third", keys)
	run(worker, chromedp.Evaluate[string](`dispatchEvent(new ExtendableEvent('pushsubscriptionchange')), looking.then(() => 'done')`, chromedp.EvalAwaitPromise))
	laptop.open(d.Public(1) + "/account")
	laptop.known(d.Public(1), service.URL+"/third")
	laptop.expectNoProblems()
}
