// Package pagetest holds what the tests of every room with pages ask of them: nothing
// inline, a heading, labels, and no sentence that nobody says.
//
// How a page looks is for people, and for golden files ([Golden]).
package pagetest

import (
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
)

var (
	inline   = regexp.MustCompile(`<style|<script[^>]*>[^<]|<script>|\sstyle=|\son[a-z]+=|javascript:|ZgotmplZ`)
	input    = regexp.MustCompile(`<input id="([^"]+)"`)
	describe = regexp.MustCompile(`aria-describedby="([^"]*)"`)
	start    = regexp.MustCompile(`<[^>]* autofocus[^>]*>`)
	fault    = regexp.MustCompile(`id="alert"|class="fault" id=`)
	says     = regexp.MustCompile(`id="alert"|aria-describedby="[^"]*(alert|-error)`)
)

// Check reports what is wrong with a page whoever it is for: anything inline, no or many
// h1, inputs without a label, descriptions that are not there, navigation within the content or
// without a way past it.
func Check(t *testing.T, name, body string) {
	t.Helper()
	if m := inline.FindString(body); m != "" {
		t.Errorf("%s: %q is inline", name, m)
	}
	if n := strings.Count(body, "<h1"); n != 1 {
		t.Errorf("%s: %d headings", name, n)
	}
	if before, _, ok := strings.Cut(body, "<main"); !ok || strings.Count(body, "<main") != 1 {
		t.Errorf("%s: %d main parts", name, strings.Count(body, "<main"))
	} else if at := strings.Index(body, "<nav"); at >= 0 && !strings.Contains(before[:min(at, len(before))], `href="#content"`) {
		t.Errorf("%s: nothing leads past the navigation", name)
	} else if at > len(before) {
		t.Errorf("%s: the navigation is part of the content", name)
	}
	for _, m := range input.FindAllStringSubmatch(body, -1) {
		if !strings.Contains(body, `<label for="`+m[1]+`">`) {
			t.Errorf("%s: %s has no label", name, m[1])
		}
	}
	Told(t, name, body)
	for _, ref := range describe.FindAllStringSubmatch(body, -1) {
		for _, id := range strings.Fields(ref[1]) {
			if !strings.Contains(body, `id="`+id+`"`) {
				t.Errorf("%s: nothing has the id %s", name, id)
			}
		}
	}
}

// Told reports an error that who does not see it is not told of: where there is an alert, or something
// wrong with a field, the page starts at the alert, or at a field whose description says what is wrong.
func Told(t testing.TB, name, body string) {
	t.Helper()
	if starts := start.FindAllString(body, -1); fault.MatchString(body) && (len(starts) != 1 || !says.MatchString(starts[0])) {
		t.Errorf("%s: something is wrong, and the page starts at %q", name, starts)
	}
}

var pagesTo = flag.String("pages", "", "directory to write all pages to, to be looked at")

// Each writes a room's pages, by their names, as people of the default tenant see them, and
// checks them; more are what the room itself asks of a page. With -pages they are kept.
func Each(t *testing.T, pages map[string]func(w http.ResponseWriter, r *http.Request) error, more ...func(name, body string)) {
	t.Helper()
	for name, write := range pages {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"}))
		w := httptest.NewRecorder()
		if err := write(w, r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		Check(t, name, w.Body.String())
		for _, check := range more {
			check(name, w.Body.String())
		}
		Keep(t, name, w.Body.String())
	}
}

// Keep writes a page to the directory of -pages, if there is one.
func Keep(t *testing.T, name, body string) {
	t.Helper()
	if *pagesTo == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*pagesTo, name+".html"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

var update = flag.Bool("update", false, "write the golden files of pages")

var (
	drawing = regexp.MustCompile(`(?s)<svg.*?</svg>`)
	hash    = regexp.MustCompile(`(/assets/[a-z]+)-[\w-]{12}\.`)
)

// Golden compares a page with the file of its name in testdata, which -update writes. Drawings and
// the hashes of assets are not what these files are about.
func Golden(t *testing.T, name, body string) {
	t.Helper()
	file := filepath.Join("testdata", name+".html")
	got := drawing.ReplaceAllString(hash.ReplaceAllString(body, "$1-HASH."), "<svg/>")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got, -update accepts):\n%s", name, d)
	}
}

// Translated reports what the translations of a room's texts lack, have for nothing or
// say with other words and numbers than the English ones.
func Translated(t *testing.T, site *page.Site) {
	t.Helper()
	for _, fault := range site.Faults() {
		t.Error(fault)
	}
}

// EveryTextIsUsed reports the texts that neither pages (by their Keys) nor the code of the
// room in the present directory name, and of which composed does not say that they are
// put together: they would be translated for nothing.
func EveryTextIsUsed(t *testing.T, texts page.Texts, composed func(key, code string) bool, pages ...[]string) {
	t.Helper()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range sources {
		if name == "text.go" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	used := slices.Concat(pages...)
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		key, _, _ = strings.Cut(key, "#") // the plural form
		if !slices.Contains(used, key) && !strings.Contains(code.String(), `"`+key+`"`) && !composed(key, code.String()) {
			t.Errorf("nothing says %s", key)
		}
	}
}
