package browser

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/notify/push/pushtest"
)

// subscribes has PushManager.subscribe of every page make a subscription at an address of
// the test, with keys that the test has: Chromium's own push service is out of reach. The rest
// is the browser's.
func (b *browser) subscribes(endpoint string, keys *pushtest.Browser) {
	b.t.Helper()
	script := fmt.Sprintf(`PushManager.prototype.subscribe = async o => {
  if (!o.userVisibleOnly || o.applicationServerKey.length != 65 || Notification.permission != 'granted') throw new TypeError('subscribed wrongly');
  return {toJSON: () => ({endpoint: %q, keys: {p256dh: %q, auth: %q}})};
};`, endpoint, keys.P256DH(), keys.Auth())
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		b.t.Fatal(err)
	}
}

// notifications says whether pages of an origin may show notifications.
func (b *browser) notifications(origin string, may cdpbrowser.PermissionSetting) {
	b.t.Helper()
	_, err := chromedp.CallBrowser(b.ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "notifications"}, Setting: may, Origin: origin,
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// worker waits for the service worker of the tab's origin, in which code can be run as in a tab.
func (b *browser) worker(script string) *browser {
	b.t.Helper()
	for {
		infos, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		i := slices.IndexFunc(infos, func(i *target.Info) bool { return i.Type == "service_worker" && strings.HasSuffix(i.URL, script) })
		if i >= 0 {
			ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithTargetID(infos[i].TargetID))
			b.t.Cleanup(cancel)
			w := &browser{t: b.t, ctx: ctx}
			run(w, chromedp.Evaluate[string]("registration.scope")) // from now on it is not stopped
			return w
		}
		b.wait()
	}
}

var submitted = chromedp.CSS(`main form [type="submit"]`)

// isNotified makes the browser one that approves, at a node, and has it notified, after a no.
func (b *browser) isNotified(node string) {
	b.t.Helper()
	b.open(node + "/account/security/approvers/new")
	b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="name"]`)), chromedp.Click(submitted))
	b.says(".card .notice", "you can approve sign-ins in this browser")
	b.do(chromedp.Click(chromedp.CSS(`a[href$="#push"]`)), chromedp.WaitVisible(chromedp.CSS(`form[data-push]`)))
	b.pictures("push-offer")
	start := chromedp.CSS(`form[data-push] [type="submit"]`)
	b.notifications(node, cdpbrowser.PermissionSettingDenied)
	b.do(chromedp.Click(start))
	b.says("[data-fault]", "may not show messages")
	b.pictures("push-denied")
	b.notifications(node, cdpbrowser.PermissionSettingGranted)
	b.do(chromedp.Click(start))
	b.says(".card .notice", "shows you a message when a sign-in waits")
	b.says("main", "Shows a message when a sign-in waits")
	b.pictures("account-security-told")
}

// asks signs somebody in at a node up to where the number is shown, and returns it.
func (b *browser) asks(who, node string) (number string) {
	b.t.Helper()
	b.open(node + "/account")
	b.signIn(who, "correct horse battery")
	other := chromedp.CSS(`a[href*="way=approval"]`)
	b.do(chromedp.WaitVisible(other), chromedp.Click(other))
	b.says("main", "Ask the other browser")
	b.do(chromedp.Click(submitted), chromedp.WaitVisible(chromedp.CSS(".usercode code")))
	return b.text(".usercode code")
}

// shows has a push message come to the worker of an origin, and returns what it shows: title,
// text and tag.
func (b *browser) shows(worker *browser, origin, data string) string {
	b.t.Helper()
	// To ask for notifications before they are shown can take them away: Chromium takes what is
	// not on the screen yet for dismissed.
	run(worker, chromedp.Evaluate[bool](`self.shown = new Promise((done, fail) => {
  const show = registration.showNotification;
  registration.showNotification = (...what) => show.apply(registration, what).then(done, fail);
}), true`))
	b.deliver(origin, data)
	return run(worker, chromedp.Evaluate[string](`shown.then(() => registration.getNotifications()).then(all => all.map(n => n.title + '|' + n.body + '|' + n.tag).join())`, chromedp.EvalAwaitPromise))
}

// click clicks on the notification of a worker, and returns the address that it opens and how
// many are left. Only a real press may open a window, so what opens them is replaced.
func (b *browser) click() string {
	b.t.Helper()
	return run(b, chromedp.Evaluate[string](`(async () => {
  const opened = new Promise(done => clients.openWindow = async at => done(at));
  dispatchEvent(new NotificationEvent('notificationclick', {notification: (await registration.getNotifications())[0]}));
  return await opened + ' ' + (await registration.getNotifications()).length;
})()`, chromedp.EvalAwaitPromise))
}

// pushService is one that nodes trust which are started after it.
func pushService(t *testing.T) *pushtest.Service {
	t.Helper()
	service := pushtest.NewService(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots) // the nodes' own
	return service
}

// hears waits for the next message that the push service is sent for the browser, and returns what
// it says, which is what is to be delivered, too.
func (b *browser) hears(service *pushtest.Service, keys *pushtest.Browser) (said map[string]string, plain string) {
	b.t.Helper()
	var m pushtest.Message
	select {
	case m = <-service.Messages:
	case <-b.ctx.Done():
		b.t.Fatal("no message came to the push service")
	}
	if m.Err != nil || m.Path != "/laptop" {
		b.t.Fatalf("%s: %v", m.Path, m.Err)
	}
	read, err := keys.Read(m.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal(read, &said); err != nil {
		b.t.Fatalf("the message says %s: %v", read, err)
	}
	return said, string(read)
}

// TestPushMessagesLeadToWhatIsToBeDone: a person has one browser notified and signs in in another;
// then somebody gets back into the account. What comes to the push service shows what waits
// in the browser that is signed in, and opens the page where it is approved, or stopped.
func TestPushMessagesLeadToWhatIsToBeDone(t *testing.T) {
	service := pushService(t)
	d := testbed.Run(t, 3, pagesBootstrap)
	laptop, phone := browserOf(t), browserOf(t) // whole ones: only those are told of messages
	keys, err := pushtest.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	laptop.subscribes(service.URL+"/laptop", keys)
	laptop.do(chromedp.Navigate(d.Public(1)+"/account/security/apps/new"), chromedp.WaitReady(chromedp.CSS("main")))
	laptop.signIn("ada", "correct horse battery")
	laptop.addApp()
	laptop.isNotified(d.Public(2))
	worker := laptop.worker("/account/worker.js")

	number := phone.asks("ada", d.Public(3))
	said, plain := laptop.hears(service, keys)
	if strings.Contains(plain, number) {
		t.Errorf("the message says the number %s: %s", number, plain)
	}
	if got, want := laptop.shows(worker, d.Public(2), plain), said["title"]+"|"+said["body"]+"|approval"; got != want {
		t.Errorf("the browser shows %q, want %q", got, want)
	}
	answer := d.Public(2) + "/account/approvals/sign-in"
	if got := worker.click(); got != answer+" 0" {
		t.Errorf("a click opens %s", got)
	}
	laptop.open(answer)
	laptop.fill("number", number)
	laptop.do(chromedp.Click(submitted))
	laptop.says(`.column [role="status"]`, "You have approved the sign-in")
	phone.arrives(d.Public(3) + "/account")

	phone.leave(d.Public(3))
	phone.open(d.Public(3) + "/account")
	box := &mailbox{b: phone, at: d.Issuer()}
	phone.lose("ada", func() string { return box.code("ada") }, unseen)
	phone.submit()
	phone.says("main", "You can go on in", "That stops all this")
	said, plain = laptop.hears(service, keys)
	if got, want := laptop.shows(worker, d.Public(2), plain), said["title"]+"|"+said["body"]+"|recovery"; got != want {
		t.Errorf("the browser shows %q, want %q", got, want)
	}
	if got := worker.click(); got != d.Public(2)+"/account/security 0" {
		t.Errorf("a click opens %s", got)
	}
	laptop.open(d.Public(2) + "/account/security")
	laptop.do(chromedp.Click(chromedp.CSS(`.banner [type="submit"]`)))
	laptop.says("main", "It was stopped")

	laptop.open(d.Public(2) + "/account/security")
	laptop.do(chromedp.Click(chromedp.CSS(`a[href*="/approvers/"]`)), chromedp.WaitVisible(chromedp.CSS("form[data-push-stop]")))
	laptop.pictures("push-stop")
	laptop.do(chromedp.Click(chromedp.CSS(`form[data-push-stop] [type="submit"]`)))
	laptop.says(".card .notice", "shows no messages any more")
	laptop.expectNoProblems()
	phone.expectNoProblems()
}

// deliver has the browser act as if its push service had brought a message for the worker of
// an origin. What tells of workers is switched off again: only when it is switched on it tells
// of those that there are.
func (b *browser) deliver(origin, data string) {
	b.t.Helper()
	found := make(chan serviceworker.RegistrationID, 100)
	err := chromedp.Listen(b.ctx, func(ev any) {
		if e, ok := ev.(*serviceworker.EventWorkerRegistrationUpdated); ok {
			for _, r := range e.Registrations {
				if strings.HasPrefix(r.ScopeURL, origin+"/") && !r.IsDeleted {
					found <- r.RegistrationID
				}
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, serviceworker.Enable, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
	select {
	case id := <-found:
		_, err = chromedp.Call(b.ctx, serviceworker.DeliverPushMessage, serviceworker.DeliverPushMessageParams{Origin: origin, RegistrationID: id, Data: data})
	case <-b.ctx.Done():
		err = b.ctx.Err()
	}
	if err == nil {
		_, err = chromedp.Call(b.ctx, serviceworker.Disable, cdp.Empty{})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
