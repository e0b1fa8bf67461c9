package browser

import (
	_ "embed"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

//go:embed testdata/everybody.js
var everybody string

// forEverybody fails the test for what keeps people out of the page who use it in another way
// than with a pointer and in our colours. axe-core sees none of that.
func (b *browser) forEverybody(name, scheme string) {
	b.t.Helper()
	for _, fault := range b.owes(name, scheme) {
		b.t.Errorf("%s, %s", name, fault)
	}
}

// owes goes through all of the page by Tab, in a narrow window, and looks at all of it again in a
// wide one, in colours that the system forces; then the page is as it was. It returns what is
// not reached, not seen, too small, or moves.
func (b *browser) owes(name, scheme string) (faults []string) {
	b.t.Helper()
	look := func(way, call string) {
		b.t.Helper()
		for _, fault := range run(b, chromedp.Evaluate[[]string]("quis."+call+"()")) {
			faults = append(faults, way+": "+fault)
		}
	}
	b.focused(true)
	b.do(chromedp.EmulateViewport(320, 800))
	run(b, chromedp.Evaluate[bool]("window.quis = "+everybody+", true"))
	look("alert", "untold")
	look("less motion", "moving")
	look("320 px", "small")
	stops := run(b, chromedp.Evaluate[int]("quis.begin()"))
	b.do(chromedp.KeyEvent(strings.Repeat(kb.Tab, stops+1)))
	look("keyboard", "end")
	b.do(chromedp.EmulateViewport(1280, 800))
	look("1280 px", "small")
	run(b, chromedp.Evaluate[int]("quis.remember()"))
	b.media(inScheme(scheme), &emulation.MediaFeature{Name: "forced-colors", Value: "active"})
	look("forced colours", "forced")
	b.keep(name+"-"+scheme+"-forced", 1280)
	b.media(inScheme(scheme))
	b.focused(false)
	return faults
}

// focused has the window believe that it has the focus: one without a screen never has it by
// itself, and then nothing in it has.
func (b *browser) focused(is bool) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: is}); err != nil {
		b.t.Fatal(err)
	}
}

// TestWhatKeepsPeopleOutIsSeen: owes names each fault of these pages.
func TestWhatKeepsPeopleOutIsSeen(t *testing.T) {
	t.Parallel()
	pages := map[string]struct {
		html string
		want []string
	}{
		"/faults": {`<a id="small">s</a> <a id="unseen">u</a> <a id="moves">m</a> <div id="under"><a id="covered">c</a><i></i></div>
<input id="plain"> <b id="told">by its colour</b> <button></button> <a id="pale"><svg width="9" height="9"><path d="M0 0h9"/></svg></a> <a id="first" tabindex="1">f</a> <a>x</a>`, []string{
			`less motion: it moves: <a href="#" id="moves">m</a>`,
			`320 px: <a href="#" id="small">s</a> is 22 px high`,
			`keyboard: the focus is not seen at <a href="#" id="unseen">u</a>`,
			`keyboard: under <i></i> has the focus <a href="#" id="covered">c</a>`,
			`keyboard: Tab 8 of 9 leads to <a href="#">x</a>, not to <a href="#" id="first" tabindex="1">f</a>`,
			`1280 px: <a href="#" id="small">s</a> is 22 px high`,
			`forced colours: only its colour told it from the rest: <b id="told">by its colour</b>`,
			`forced colours: it has no edge: <input id="plain">`,
			`forced colours: it is not seen: <path d="M0 0h9"></path>`,
			`forced colours: the focus is not seen at <a href="#" id="unseen">u</a>`,
			`forced colours: under <i></i> has the focus <a href="#" id="covered">c</a>`,
			`forced colours: it says nothing: <button></button>`,
		}},
		"/trap":  {`<a>x</a> <a id="trap">t</a> <a>y</a>`, []string{`keyboard: Tab 3 of 3 leads to <a href="#" id="trap">t</a>, not to <a href="#">y</a>`}},
		"/end":   {`<a>x</a> <a id="trap">t</a>`, []string{`keyboard: behind its last element the page keeps the focus at <a href="#" id="trap">t</a>`}},
		"/alert": {`<p id="alert">wrong</p> <input aria-describedby="x-error"> <input aria-describedby="x-hint" autofocus>`, []string{`alert: the focus is at <input aria-describedby="x-hint" autofocus=""> and says nothing of wrong`}},
		"/told":  {`<p id="alert">wrong</p> <input aria-describedby="alert x-hint" autofocus>`, nil},
		"/good":  {`<a>x</a> <input value="what is marked"> <button>b</button>`, nil},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><title>faults</title><style>
:focus-visible { outline: 3px solid } a, button, input { display: inline-block; min-width: 44px; min-height: 44px; border: 1px solid }
#small { min-width: 0; min-height: 0; height: 20px } #unseen { outline: none } #moves { transition: color 1s } #plain { border: 0 } #told { background: #ccc }
#under { position: relative } #under i { position: absolute; inset: 0 } svg path { fill: none; stroke: #eee }
</style><main><h1>faults</h1>`+strings.ReplaceAll(pages[r.URL.Path].html, "<a", `<a href="#"`)+`</main><script>
if (window.trap) trap.onkeydown = e => e.key == 'Tab' && e.preventDefault();
</script>`)
	}))
	t.Cleanup(s.Close)
	b := newBrowser(t)
	for at, page := range pages {
		b.open(s.URL + at)
		if diff := cmp.Diff(page.want, b.owes("faults"+at[1:], "light")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", at, diff)
		}
	}
}
