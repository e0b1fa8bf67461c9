package browser

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

// axe is the script of axe-core.
var axe = sync.OnceValues(func() (string, error) {
	dir, err := testbed.Packages("testdata")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	return string(b), err
})

// everyRule are the rules of axe-core for WCAG 2.2, level A and AA, and of good practice. Only
// those of colour can be broken in one scheme of colours and kept in the other.
const (
	everyRule   = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	colourRules = `["cat.color"]`
)

// accessible fails the test for what axe-core finds on the page by these rules.
func (b *browser) accessible(name, rules string) {
	b.t.Helper()
	if !run(b, chromedp.Evaluate[bool]("!!window.axe")) {
		script, err := axe()
		if err != nil {
			b.t.Fatal(err)
		}
		run(b, chromedp.Evaluate[bool](script+";true"))
	}
	found := run(b, chromedp.Evaluate[[]string](`axe.run(document, {runOnly: `+rules+`}).then(r =>
  r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("; ")))`, chromedp.EvalAwaitPromise))
	for _, v := range found {
		b.t.Errorf("%s: %s", name, v)
	}
}

// shift is by how much the page has moved since it was shown, as browsers measure it.
func (b *browser) shift() float64 {
	b.t.Helper()
	return run(b, chromedp.Evaluate[float64](`new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => list.getEntries().forEach(e => sum += e.value)).observe({type: "layout-shift", buffered: true});
  document.fonts.ready.then(() => requestAnimationFrame(() => requestAnimationFrame(() => done(sum))));
})`, chromedp.EvalAwaitPromise))
}

// maxLoginPage is what the login page may cost on the wire: all files, with headers.
const maxLoginPage = 20 << 10

// TestLoginPageInEveryLanguage: what the page costs, that nothing of it moves after it
// was shown, that it needs no script, and that nothing is cut off in any language.
func TestLoginPageInEveryLanguage(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, bootstrap)
	b := newBrowser(t)
	var mu sync.Mutex
	var bytes float64
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if e, ok := ev.(*network.EventLoadingFinished); ok {
			mu.Lock()
			defer mu.Unlock()
			bytes += e.EncodedDataLength
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	to, _ := authorizeURL(d.Public(1), web)
	b.do(chromedp.Navigate(to), chromedp.WaitVisible(nameField))
	if shift := b.shift(); shift != 0 {
		t.Errorf("the layout shifts by %v", shift)
	}
	mu.Lock()
	t.Logf("the login page costs %.0f bytes on the wire", bytes)
	if bytes == 0 || bytes > maxLoginPage {
		t.Errorf("the login page costs %.0f bytes on the wire, at most %d", bytes, maxLoginPage)
	}
	mu.Unlock()

	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(to), chromedp.WaitVisible(nameField))
	if got := run(b, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("form[data-passkey]")).display`)); got != "none" {
		t.Errorf("without scripts the button for passkeys, which needs them, is there: %s", got)
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}); err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "de", "fr", "es", "it", "pt", "pl", "ja"} {
		b.do(chromedp.Navigate(to+"&ui_locales="+lang), chromedp.WaitVisible(chromedp.CSS(`html[lang="`+lang+`"] input[name="username"]`)))
		b.pictures("login-" + lang)
		b.do(chromedp.EmulateViewport(320, 800))
		if cut, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("h1, label, button, a, summary, p")].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).map(e => e.outerHTML).join("\n")`)); err != nil || cut != "" {
			t.Errorf("%s: cut off: %s %v", lang, cut, err)
		}
	}
	b.do(chromedp.EmulateViewport(1280, 800), chromedp.Click(chromedp.CSS("summary")), chromedp.Click(chromedp.CSS(`.languages [value="pl"]`)), chromedp.WaitVisible(chromedp.CSS(`html[lang="pl"]`)))
	b.signIn("tester", "wrong")
	b.do(chromedp.WaitVisible(chromedp.CSS(`html[lang="pl"] [role="alert"]`)))
	if page := b.text("main"); !strings.Contains(page, "Nazwa i hasło") {
		t.Errorf("after a choice the page says %q", page)
	}
	b.expectNoProblems()
}

// TestOtherModes: colours that the system forces, and paper.
func TestOtherModes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, bootstrap)
	b := newBrowser(t)
	to, _ := authorizeURL(d.Public(1), web)
	b.do(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(to), chromedp.WaitVisible(nameField))
	for name, media := range map[string]emulation.SetEmulatedMediaParams{
		"forced": {Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}},
		"print":  {Media: "print"},
		"still":  {Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}},
	} {
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		answer, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(() => {
  const of = selector => getComputedStyle(document.querySelector(selector));
  return [of(".whorl").display, of(".button").transitionDuration, of(".languages").display].join(" ");
})()`))
		want := map[string]string{"forced": "none 0.12s block", "print": "none 0.12s none", "still": "block 0s block"}[name]
		if err != nil || answer != want {
			t.Errorf("%s: %q, want %q: %v", name, answer, want, err)
		}
		b.keep(name, 1280)
	}
}

// keep takes a picture of all of the page as it is in a window of that width, for a human eye.
func (b *browser) keep(name string, width int64) {
	b.t.Helper()
	dir := os.Getenv("QUIS_SCREENSHOTS")
	if dir == "" {
		return
	}
	high := run(b, chromedp.Evaluate[int64](`document.documentElement.scrollHeight`))
	b.do(chromedp.EmulateViewport(width, max(high, 800))) // also what has to be scrolled to
	png := run(b, chromedp.CaptureScreenshot())
	if len(png) < 2000 {
		b.t.Errorf("%s, %d px: the page looks empty", name, width)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, 800))
}
