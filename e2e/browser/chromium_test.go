package browser

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// A browser is one Chromium with one tab and its own cookies.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // content-security-policy violations and errors of the page
}

// newBrowser starts a Chromium without the parts of a window, which takes half of the processor
// that a whole one takes.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	return browserOf(t, "/usr/bin/chromium-headless-shell")
}

// browserOf starts the first browser that is there: of those, or a whole Chromium.
func browserOf(t *testing.T, before ...string) *browser {
	t.Helper()
	return browserWith(t, nil, before...)
}

// browserWith is browserOf with flags besides those of every browser.
func browserWith(t *testing.T, more []chromedp.ExecAllocatorOption, before ...string) *browser {
	t.Helper()
	flags := append(slices.Concat(chromedp.DefaultExecAllocatorOptions[:], more),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true))
	for _, path := range append(before, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome") {
		if _, err := os.Stat(path); err == nil {
			flags = append(flags, chromedp.ExecPath(path))
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.Navigate("about:blank"))
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// tab opens another tab of the same browser.
func (b *browser) tab() *browser {
	b.t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	b.t.Cleanup(closeTab)
	return &browser{t: b.t, ctx: ctx}
}

func (b *browser) hear(ev any) {
	e, ok := ev.(*cdplog.EventEntryAdded)
	if ok && e.Entry.Level == cdplog.EntryLevelError && !strings.Contains(e.Entry.Text, "responded with a status of 4") && !strings.Contains(e.Entry.Text, networkChanged) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, e.Entry.Text)
	}
}

// expectNoProblems fails the test for what the browser complained about.
func (b *browser) expectNoProblems() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the browser complains: %s", p)
	}
	b.problems = nil
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		run(b, step)
	}
}

// run takes a step, once more if the page was replaced between finding an element and doing
// something with it: then nothing was done, and the element is looked for on the page that is there now.
func run[T any](b *browser, step chromedp.Action[T]) T {
	b.t.Helper()
	for {
		got, err := chromedp.Run(b.ctx, step)
		if err == nil {
			return got
		}
		if !replaced(err) && !disturbed(err) || b.ctx.Err() != nil {
			b.t.Fatal(err)
		}
		b.wait()
	}
}

// replaced reports whether err says that an element belongs to a page that is gone.
func replaced(err error) bool {
	var e *cdproto.Error
	return errors.As(err, &e) && (strings.Contains(e.Message, "node with given id") || strings.Contains(e.Message, "Node with given id") ||
		strings.Contains(e.Message, "Cannot find context with specified id"))
}

// networkChanged is what Chromium says when the machine's network changed while something was loaded, which is
// nothing that a page has done: other stories, which run beside these, put up networks of their own.
const networkChanged = "net::ERR_NETWORK_CHANGED"

// disturbed reports whether err says that a page was not loaded because the page before was about to lead on, or because
// the network changed meanwhile.
func disturbed(err error) bool {
	return strings.Contains(err.Error(), "net::ERR_ABORTED") || strings.Contains(err.Error(), networkChanged)
}

func (b *browser) text(sel chromedp.CSS) string {
	b.t.Helper()
	return run(b, chromedp.Text(sel))
}

// waitLocation waits until the tab is at a URL with the given prefix.
func (b *browser) waitLocation(prefix string) string {
	b.t.Helper()
	for {
		if at, err := chromedp.Run(b.ctx, chromedp.Location()); err == nil && strings.HasPrefix(at, prefix) {
			return at
		} else if b.ctx.Err() != nil {
			b.t.Fatalf("at %s, never reached %s", at, prefix)
		}
		b.wait()
	}
}

// arrives waits until the tab shows that very page, and none below it: the offer of a passkey at
// /account/security/passkeys/offer leads on by a script, which would take the tab away from
// whatever is opened meanwhile.
func (b *browser) arrives(page string) {
	b.t.Helper()
	const where = `document.readyState === "complete" ? location.origin + location.pathname : ""`
	for last := ""; ; b.wait() {
		at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](where))
		if err == nil && at == page {
			return
		} else if err == nil && at != "" {
			text, _ := b.content("main")
			last = at + ": " + text
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("at %s, never arrived at %s", last, page)
		}
	}
}

// wait lets a moment pass between two looks at a condition.
func (b *browser) wait() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-b.ctx.Done():
	}
}

// present reports whether the page has such an element.
func (b *browser) present(selector string) bool {
	b.t.Helper()
	return run(b, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector))) > 0
}

// signIn fills in the login form that is on the screen, which asks for the password beside the name or after it,
// and sends it with Enter: a click can miss a button that moves.
func (b *browser) signIn(username, password string) {
	b.t.Helper()
	b.name(username)
	b.fill("password", password)
	b.do(chromedp.SendKeys(passwordField, "\r"))
}

// name fills in the name, and waits until the password is asked for.
func (b *browser) name(username string) {
	b.t.Helper()
	b.fill("username", username)
	if b.present(`[hidden] input[name="password"]`) {
		b.do(chromedp.SendKeys(nameField, "\r"))
	}
	b.do(chromedp.WaitVisible(passwordField))
}

// fill types text into the field of that name, in place of what stands there.
func (b *browser) fill(name, text string) {
	b.t.Helper()
	field := chromedp.CSS(`input[name="` + name + `"]`)
	b.do(chromedp.WaitVisible(field))
	run(b, chromedp.Evaluate[bool](fmt.Sprintf(`document.querySelector(%q).select(), true`, field)))
	b.do(chromedp.SendKeys(field, text))
}

// pictures takes the page as it is in light and dark, at 1280 and at 320 px, and
// fails the test if anything is cut off at 320 or keeps somebody out (see accessible and forEverybody).
func (b *browser) pictures(name string) {
	b.t.Helper()
	b.pictureFor(name, "light", everyRule)
	b.pictureFor(name, "dark", colourRules)
}

// picture is pictures with those of one scheme of colours only, for paths of many pages.
func (b *browser) picture(name, scheme string) {
	b.t.Helper()
	b.pictureFor(name, scheme, everyRule)
	other := map[string]string{"light": "dark", "dark": "light"}[scheme]
	b.media(inScheme(other), lessMotion)
	b.accessible(name+", "+other, colourRules)
}

// lessMotion is asked for where anything is looked at: nothing is seen on its way then.
var lessMotion = &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"}

func inScheme(scheme string) *emulation.MediaFeature {
	return &emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme}
}

// pictureFor takes one whose page is held against these rules of axe-core.
func (b *browser) pictureFor(name, scheme, rules string) {
	b.t.Helper()
	b.media(inScheme(scheme), lessMotion)
	b.accessible(name+", "+scheme, rules)
	for _, width := range []int64{1280, 320} {
		b.do(chromedp.EmulateViewport(width, 800))
		if wide := run(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > width {
			b.t.Errorf("%s is %d px wide in a window of %d", name, wide, width)
		}
		b.keep(name+"-"+scheme+"-"+map[int64]string{1280: "wide", 320: "narrow"}[width], width)
	}
	if rules == everyRule {
		b.forEverybody(name, scheme)
	}
	b.do(chromedp.EmulateViewport(1280, 800))
}

// media has the page believe in other settings of the system.
func (b *browser) media(features ...*emulation.MediaFeature) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

var applications = struct {
	sync.Mutex
	at map[string]bool
}{at: map[string]bool{}}

// application serves something at the address that codes are sent to, for whatever tests send
// people there.
func application(t *testing.T, addr string) {
	t.Helper()
	applications.Lock()
	defer applications.Unlock()
	if applications.at[addr] {
		return
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	applications.at[addr] = true
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><title>application</title><link rel=icon href='data:,'><h1>Welcome back</h1>"))
	}))
}

// signOutEverywhere confirms on the logout page, choosing all sessions if there is a choice.
func (b *browser) signOutEverywhere() {
	b.t.Helper()
	choice := chromedp.CSS(`[name="everywhere"]`)
	if b.present(string(choice)) {
		b.do(chromedp.Click(choice))
	}
	b.do(chromedp.Click(chromedp.CSS(`form[action="/logout"] [type="submit"]`)), chromedp.WaitNotPresent(choice))
}
