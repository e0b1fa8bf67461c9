package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/identity/authn"
)

// phone keeps passkeys, verifies its user, and copies what it keeps to their other devices.
var phone = webauthn.VirtualAuthenticatorOptions{
	Protocol: "ctap2", Ctap2version: "ctap2_1", Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	DefaultBackupEligibility: true, DefaultBackupState: true,
}

const (
	nameField     = chromedp.CSS(`input[name="username"]`)
	passwordField = chromedp.CSS(`input[name="password"]`)
)

// open goes to an address and waits until its page is there.
func (b *browser) open(at string) {
	b.t.Helper()
	b.do(chromedp.Navigate(at), chromedp.WaitReady(chromedp.CSS("main h1")))
}

// weight is what the page and its files cost, compressed as they are sent, whether or not the
// browser had them; with headers, which are some 400 bytes each.
func (b *browser) weight() float64 {
	b.t.Helper()
	return run(b, chromedp.Evaluate[float64](`[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .reduce((sum, e) => sum + e.encodedBodySize + 400, 0)`))
}

// value is what stands in a field.
func (b *browser) value(field chromedp.CSS) string {
	b.t.Helper()
	return run(b, chromedp.Value(field))
}

// leave signs out of the house.
func (b *browser) leave(house string) {
	b.t.Helper()
	b.open(house + "/logout")
	b.do(chromedp.Click(chromedp.CSS(`form[action="/logout"] [type="submit"]`)))
	b.says("main", "You are signed out") // a form that is gone may not have arrived yet
}

// TestPasskeyIsOfferedInABrowser: after a password, once; it is the way that is marked from then on.
func TestPasskeyIsOfferedInABrowser(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), passkeyBrowser(t)
	id := newAuthenticator(b, phone)
	signIn := func(who, leads string) {
		t.Helper()
		b.open(h.begin(authn.Need{ReturnTo: "/account/activity", Login: true}))
		b.do(chromedp.WaitVisible(chromedp.CSS(`form[data-passkey]`)), chromedp.WaitReady(chromedp.CSS(`[data-passkey-makes][value="yes"]`)))
		b.signIn(who, comfortSecret)
		b.arrives(h.URL + leads)
	}
	const offer = "/account/security/passkeys/offer"
	signIn("ada", offer)
	b.do(chromedp.WaitVisible(chromedp.CSS(`form[data-then]`)))
	if shift := b.shift(); shift != 0 {
		t.Errorf("the layout of the offer shifts by %v", shift)
	}
	b.pictures("offer")
	b.do(chromedp.Click(chromedp.CSS(`.actions a`)))
	b.arrives(h.URL + "/account/activity")
	signIn("ada", "/account/activity") // not now
	signIn("grace", offer)
	held := b.holds(h.URL + "/account/activity")
	b.do(chromedp.Click(chromedp.CSS(`form[data-then] button`)))
	held.wait()
	held.stop()
	b.pictures("offer-taken")
	held.end()
	b.do(chromedp.Click(chromedp.CSS(`.actions a`)))
	b.arrives(h.URL + "/account/activity")
	if n := b.keys(id); n != 1 {
		t.Fatalf("%d passkeys", n)
	}
	b.leave(h.URL)
	b.open(h.begin(authn.Need{ReturnTo: "/account"}) + "&another=yes")
	b.arrives(h.URL + "/account") // the list picks the only passkey by itself under automation
	b.leave(h.URL)
	if _, err := chromedp.Call(b.ctx, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: id}); err != nil {
		t.Fatal(err)
	}
	b.open(h.URL + "/login?accounts=yes")
	b.do(chromedp.Click(chromedp.CSS(`.choices li:first-child a`)), chromedp.WaitVisible(chromedp.CSS(`form[data-passkey] .last`)))
	if got := b.value(nameField); got != "grace" {
		t.Errorf("who was here last is %q", got)
	}
	b.pictures("login-last-passkey")
	b.expectNoProblems()
}

// unasked is a browser that makes a passkey without asking right after a password. Chromium does so
// with its own keeper of passwords only, which no test can fill; so the virtual authenticator,
// which knows no mediation, is asked in its place.
const unasked = `
PublicKeyCredential.getClientCapabilities = async () => ({conditionalCreate: true});
PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable = async () => false;
const create = navigator.credentials.create.bind(navigator.credentials);
navigator.credentials.create = options => {
  sessionStorage.mediation = options.mediation;
  delete options.mediation;
  return sessionStorage.refuse ? Promise.reject(new DOMException("no", "NotAllowedError")) : create(options);
};`

// TestPasskeyIsMadeUnasked: where the browser can, nobody has to press anything; where it
// does not want to, nobody is kept.
func TestPasskeyIsMadeUnasked(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), passkeyBrowser(t)
	id := newAuthenticator(b, phone)
	if _, err := chromedp.Call(b.ctx, cdp.Command[map[string]string, cdp.Empty]{Method: "Page.addScriptToEvaluateOnNewDocument"}, map[string]string{"source": unasked}); err != nil {
		t.Fatal(err)
	}
	signIn := func() {
		t.Helper()
		b.open(h.begin(authn.Need{ReturnTo: "/account/activity", Login: true}))
		b.do(chromedp.WaitReady(chromedp.CSS(`[data-passkey-makes][value="yes"]`)))
		b.signIn("ada", comfortSecret)
		b.arrives(h.URL + "/account/activity")
	}
	b.open(h.URL + "/")
	run(b, chromedp.Evaluate[bool](`(sessionStorage.refuse = "yes") === "yes"`))
	signIn()
	if n := b.keys(id); n != 0 {
		t.Fatalf("%d passkeys of a browser that makes none", n)
	}
	run(b, chromedp.Evaluate[bool](`delete sessionStorage.refuse`))
	signIn()
	if got := run(b, chromedp.Evaluate[string](`sessionStorage.mediation`)); got != "conditional" || b.keys(id) != 1 {
		t.Errorf("asked with mediation %q, %d passkeys", got, b.keys(id))
	}
	if page := b.text("main"); !strings.Contains(page, "passkey") {
		t.Errorf("the activity does not tell of it: %q", page)
	}
	b.expectNoProblems()
}

// TestPasswordIsJudgedInABrowser while it is typed, in the person's language, and never sent anywhere else.
func TestPasswordIsJudgedInABrowser(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	b.open(h.URL + "/account/security/password?lang=de")
	b.signIn("ada", comfortSecret)
	b.arrives(h.URL + "/account/security/password")
	b.do(chromedp.WaitVisible(passwordField))
	height := func() float64 {
		return run(b, chromedp.Evaluate[float64](`document.querySelector(".column").getBoundingClientRect().height`))
	}
	was := height()
	if gap := run(b, chromedp.Evaluate[float64](`document.querySelector(".judged").getBoundingClientRect().bottom - document.getElementById("password-hint").getBoundingClientRect().bottom`)); gap > 1 {
		t.Errorf("%v px are kept empty for what is said later", gap)
	}
	b.do(chromedp.SendKeys(passwordField, "kurz"))
	b.says("#password-verdict", "mindestens 15 Zeichen")
	if got := height(); got != was {
		t.Errorf("what is said moves the form by %v px", got-was)
	}
	b.pictures("password-short")
	b.do(chromedp.SendKeys(passwordField, " und dann doch noch länger"))
	b.says("#password-verdict", "Das kann Ihr Passwort sein.")
	if got := run(b, chromedp.Evaluate[float64](`document.getElementById("password-strength").value`)); got < 3 {
		t.Errorf("its strength is shown as %v", got)
	}
	b.pictures("password-good")
	b.fill("password", "passwordpassword")
	b.says("#password-verdict", "als Erstes")
	b.expectNoProblems()
}

// TestFlowsThatStoodOpen: ten minutes do no harm; a quarter of an hour after the last step, and after the back
// button, the page says kindly how to go on; two tabs do not disturb each other.
func TestFlowsThatStoodOpen(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	b.open(h.begin(authn.Need{ReturnTo: "/account/activity", Application: "Web"}))
	h.Pass(10 * time.Minute)
	b.signIn("ada", "wrong")
	b.do(chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)))
	h.Pass(16 * time.Minute)
	second := h.begin(authn.Need{ReturnTo: "/account/sessions"})
	b.signIn("ada", comfortSecret)
	b.do(chromedp.WaitNotPresent(passwordField))
	if page := b.text("main"); !strings.Contains(page, "That took a little long") {
		t.Errorf("a form of a quarter of an hour ago: %q", page)
	}
	b.pictures("late")
	b.do(chromedp.Click(chromedp.CSS(`.actions a`)), chromedp.WaitVisible(nameField)) // to what was wanted, which asks again
	other := b.tab()
	other.open(second)
	b.signIn("ada", comfortSecret)
	b.arrives(h.URL + "/account/activity")
	other.signIn("ada", comfortSecret) // its form was there before, and is as good
	other.arrives(h.URL + "/account/sessions")
	b.do(chromedp.NavigateBack(), chromedp.WaitReady(chromedp.CSS("main h1")))
	for strings.Contains(run(b, chromedp.Location()), "/account/") { // over what only led on
		b.do(chromedp.NavigateBack(), chromedp.WaitReady(chromedp.CSS("main h1")))
	}
	if page := b.text("main"); !strings.Contains(page, "You have been here already") {
		t.Errorf("the back button leads to %q", page)
	}
	b.pictures("used")
	b.do(chromedp.Click(chromedp.CSS(`.actions a`)))
	b.arrives(h.URL + "/account/activity")
	b.expectNoProblems()
}
