package consent

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

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
)

var pagesTo = flag.String("pages", "", "directory to write all pages to, to be looked at")

var ada = person{"Ada Lovelace", "ada@example.com"}

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"user_code": func(w http.ResponseWriter, r *http.Request) error {
		return userCodePage.Write(w, r, 200, userCodeView{ada, "/device", page.Field{Name: "user_code", Label: "Code", Value: "WDJB-MJHT", Hint: english.Text("code.hint"), Autocomplete: "off"}})
	},
	"user_code_wrong": func(w http.ResponseWriter, r *http.Request) error {
		return userCodePage.Write(w, r, 404, userCodeView{ada, "/device", page.Field{Name: "user_code", Label: "Code", Value: "WDJB-MJHT", Hint: english.Text("code.hint"), Error: english.Text("code.wrong")}})
	},
	"device": func(w http.ResponseWriter, r *http.Request) error {
		return devicePage.Write(w, r, 200, deviceView{
			Person: ada, Application: "Living Room Television", Code: "WDJB-MJHT", Begun: "2 minutes ago", Elsewhere: true,
			From:   "2001:db8:4f2e:99a1:1c2d:3e4f:5a6b:7c8d, which calls itself “Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0)”",
			Asks:   []string{"know who you are", "see your name and language", "do all this while you are away, until you take it back"},
			Action: "/device/decision", Ticket: "T",
		})
	},
	"approvals": func(w http.ResponseWriter, r *http.Request) error {
		return approvalsPage.Write(w, r, 200, approvalsView{
			Person: ada, Notice: english.Text("approvals.allowed"), Action: "/account/approvals", Waiting: []approval{
				{"Bank", "Pay 12.50 to Shop, code W4SCT", []string{"know who you are"}, "less than a minute ago", "T"},
				{"Call centre", "", []string{"know who you are", "see your email address"}, "3 minutes ago", "T"},
			},
		})
	},
	"approvals_none": func(w http.ResponseWriter, r *http.Request) error {
		return approvalsPage.Write(w, r, 200, approvalsView{Person: ada, Again: "/account/approvals"})
	},
	"message": func(w http.ResponseWriter, r *http.Request) error {
		return messagePage.Write(w, r, 200, messageView{english.Text("device.allowed.title"), english.Text("device.allowed.detail"), "/", "Go to the start page"})
	},
}

// Nothing inline, no script, one h1, a label for every input that is seen: on every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`<style|<script|\sstyle=|\son[a-z]+=|javascript:|ZgotmplZ`)
	input := regexp.MustCompile(`<input id="([^"]+)"`)
	for name, write := range examples {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"}))
		w := httptest.NewRecorder()
		if err := write(w, r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body := w.Body.String()
		if m := inline.FindString(body); m != "" {
			t.Errorf("%s: %q is inline", name, m)
		}
		if n := strings.Count(body, "<h1"); n != 1 {
			t.Errorf("%s: %d headings", name, n)
		}
		for _, m := range input.FindAllStringSubmatch(body, -1) {
			if !strings.Contains(body, `<label for="`+m[1]+`">`) {
				t.Errorf("%s: %s has no label", name, m[1])
			}
		}
		if *pagesTo != "" {
			if err := os.WriteFile(filepath.Join(*pagesTo, name+".html"), w.Body.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, keys := range [][]string{userCodePage.Keys(), devicePage.Keys(), approvalsPage.Keys(), messagePage.Keys()} {
		for _, k := range keys {
			used[k] = true
		}
	}
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
	for _, key := range slices.Sorted(maps.Keys(english)) {
		composed := strings.HasPrefix(key, "scope.") || strings.HasPrefix(key, "device.allowed.") || strings.HasPrefix(key, "device.denied.")
		if !used[key] && !composed && !strings.Contains(code.String(), `"`+key+`"`) {
			t.Errorf("nothing says %s", key)
		}
	}
}
