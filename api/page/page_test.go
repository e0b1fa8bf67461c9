package page

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

func request(method string) *http.Request {
	r := httptest.NewRequest(method, "/x", nil)
	ctx := identity.WithTenant(r.Context(), identity.Tenant{ID: "ten_1", Slug: "acme", Issuer: "https://id.example.com/t/acme"})
	return r.WithContext(identity.WithRequest(ctx, identity.Request{ID: "req_1"}))
}

type view struct{ Name string }

func files(main string) fstest.MapFS {
	return fstest.MapFS{"p.html": {Data: []byte(`{{define "title"}}T{{end}}{{define "main"}}` + main + `{{end}}`)}}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	p := Page[view](NewSite(files(`<h1>{{t "hello" .Name}}</h1>`), Texts{"hello": "Hello, %s"}), "p.html")
	w := httptest.NewRecorder()
	if err := p.Write(w, request("GET"), http.StatusTeapot, view{"<Ada>"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<!doctype html>", `<html lang="en"`, "<h1>Hello, &lt;Ada&gt;</h1>", "<title>T · quis</title>", `href="/t/acme/"`, "<span>id.example.com</span>"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	h := w.Header()
	if w.Code != http.StatusTeapot || h.Get("Content-Security-Policy") != ContentSecurityPolicy || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, h)
	}
	w = httptest.NewRecorder()
	if err := p.Write(w, request("HEAD"), 200, view{}); err != nil || w.Body.Len() != 0 {
		t.Errorf("HEAD: %v, %d bytes", err, w.Body.Len())
	}
}

// The policy of one answer is opened for one origin, and never for more than that.
func TestWritePosting(t *testing.T) {
	t.Parallel()
	p := Page[view](NewSite(files(`<h1>x</h1>`), nil), "p.html")
	w := httptest.NewRecorder()
	if err := p.WritePosting(w, request("GET"), 200, view{}, "https://app.example.com"); err != nil {
		t.Fatal(err)
	}
	got := w.Header().Get("Content-Security-Policy")
	if got != strings.Replace(ContentSecurityPolicy, "form-action 'self'", "form-action 'self' https://app.example.com", 1) || got == ContentSecurityPolicy {
		t.Errorf("policy %q", got)
	}
	if w.Header().Get("Referrer-Policy") != "strict-origin" {
		t.Errorf("Referrer-Policy %q", w.Header().Get("Referrer-Policy"))
	}
	for _, bad := range []string{"", "https://a; script-src *", "https://a https://b", "https://a,b"} {
		if err := p.WritePosting(httptest.NewRecorder(), request("GET"), 200, view{}, bad); err == nil {
			t.Errorf("%q is let into the policy", bad)
		}
	}
}

func TestMissingTextIsAFault(t *testing.T) {
	t.Parallel()
	for _, main := range []string{
		`{{t "gone"}}`, `{{if .Name}}{{else}}{{t "gone"}}{{end}}`, `{{with (t "gone")}}x{{end}}`, `{{range .Name}}{{t "gone" .}}{{end}}`,
		`{{template "alert" (t "gone")}}`, `{{if`,
	} {
		site := NewSite(files(main), Texts{})
		Page[view](site, "p.html")
		if faults := site.Faults(); len(faults) != 1 || !strings.Contains(faults[0], "p.html") || strings.Contains(main, "gone") != strings.Contains(faults[0], `"gone"`) {
			t.Errorf("%s: %q", main, faults)
		}
	}
}

func TestBrokenTemplateWritesNothing(t *testing.T) {
	t.Parallel()
	p := Page[view](NewSite(files(`half {{.Nobody}}`), nil), "p.html")
	w := httptest.NewRecorder()
	if err := p.Write(w, request("GET"), 200, view{}); err == nil || w.Body.Len() != 0 {
		t.Errorf("err %v, wrote %q", err, w.Body)
	}
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err      error
		status   int
		contains string
	}{
		{fsm.ErrNotFound, 404, "There is nothing here"},
		{identity.Denied("Ask Ada."), 403, "Ask Ada."},
		{problem.ErrMediaType, 415, "This does not look right"},
		{identity.Limited("", 7*time.Second), 429, "Please wait a little"},
		{fsm.ErrUnavailable, 503, "We will be right back"},
		{errors.New("disk is on fire"), 500, "Something went wrong on our side"},
	} {
		w := httptest.NewRecorder()
		Handle(func(http.ResponseWriter, *http.Request) error { return tc.err }).ServeHTTP(w, request("GET"))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.contains) || !strings.Contains(w.Body.String(), "<code>req_1</code>") {
			t.Errorf("%v: %d %s", tc.err, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "fire") {
			t.Error("an inner error is shown")
		}
		if got := w.Header().Get("Retry-After"); (got != "") != (tc.status == 429 || tc.status == 503) {
			t.Errorf("%v: Retry-After %q", tc.err, got)
		}
	}
	w := httptest.NewRecorder()
	Error(w, request("GET"), 418, "", "")
	if w.Code != 418 || !strings.Contains(w.Body.String(), errorSite.Text(request("GET"), "error.400.title")) {
		t.Errorf("a status without texts of its own: %d %s", w.Code, w.Body)
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json, text/html;q=0.5":                               true,
		"text/html;q=0":                                                   false,
		"text/html;q=x":                                                   false,
		"*/*":                                                             false,
		"":                                                                false,
		"application/json":                                                false,
		";;;, text/html":                                                  true,
	} {
		r := request("GET")
		r.Header.Set("Accept", accept)
		if got := Accepted(r); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(Assets())
	t.Cleanup(s.Close)
	for name, kind := range map[string]string{"quis.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", "submit.js": "text/javascript; charset=utf-8"} {
		path, err := assetPath(name)
		if err != nil || !regexp.MustCompile(`^/assets/[a-z]+-[\w-]{12}\.[a-z]+$`).MatchString(path) {
			t.Fatalf("%s: %q %v", name, path, err)
		}
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || len(b) < 20 || resp.Header.Get("Content-Type") != kind ||
			resp.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %v, %d bytes, %v", path, resp.StatusCode, resp.Header, len(b), err)
		}
	}
	for accepts, packed := range map[string]bool{"": false, "br, gzip": true, "gzip;q=0": false, "GZIP; q=0.5": true, "gzip;q=x": false} {
		r := httptest.NewRequest("GET", assets["quis.css"].path, nil)
		r.Header.Set("Accept-Encoding", accepts)
		w := httptest.NewRecorder()
		Assets().ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != packed || w.Header().Get("Vary") != "Accept-Encoding" || (w.Body.Len() < 6000) != packed {
			t.Errorf("%q: packed %v, %d bytes, %v", accepts, got, w.Body.Len(), w.Header())
		}
	}
	if _, err := assetPath("nothing.js"); err == nil {
		t.Error("an asset that is not there has a path")
	}
}

// The style sheet may not fetch from elsewhere, and every colour has a light and a dark value.
func TestStyleSheet(t *testing.T) {
	t.Parallel()
	css := string(assets["quis.css"].content)
	for _, bad := range []string{"url(", "@import", "http:", "https:", "@font-face"} {
		if strings.Contains(css, bad) {
			t.Errorf("the style sheet holds %s", bad)
		}
	}
	for _, want := range []string{"color-scheme:light dark", "prefers-reduced-motion", "forced-colors", ":focus-visible"} {
		if !strings.Contains(css, want) {
			t.Errorf("the style sheet lacks %s", want)
		}
	}
	for _, line := range strings.Split(css, ";") {
		if regexp.MustCompile(`#[0-9a-f]{3,8}\b`).MatchString(line) && !strings.Contains(line, "light-dark(") {
			t.Errorf("a colour that is no token: %s", line)
		}
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	name, mail := Field{Name: "username", Label: "Name", Focus: true}, Field{Name: "email", Label: "Mail"}
	var alert Alert
	Refuse(asking("/", "de", "", false), &alert, []*identity.Error{
		identity.Invalid("email", "is not an email address"), identity.Invalid("username", "Use at least 12 characters. Several words in a row are easy to remember."),
		identity.Invalid("username", "second"), identity.Invalid("other", "nobody translated this"),
	}, &name, &mail)
	want := Alert{Text: "Etwas braucht noch einen Blick.", Faults: []Fault{
		{Text: "nobody translated this"},
		{"username", "Name", "Verwenden Sie mindestens 12 Zeichen. Mehrere Wörter hintereinander sind leicht zu merken."},
		{"email", "Mail", "Das ist keine E-Mail-Adresse."},
	}}
	if d := cmp.Diff(want, alert); d != "" {
		t.Error(d)
	}
	if name.Focus || name.Error != want.Faults[1].Text || mail.Error != want.Faults[2].Text {
		t.Errorf("fields %+v %+v", name, mail)
	}
	alert = Alert{}
	if Refuse(request("GET"), &alert, nil, &name); alert.Text != "" {
		t.Errorf("nothing wrong: %+v", alert)
	}
}

// TestWhereAPersonStarts: at what is wrong, where it is one field, and else at the alert, which says all.
func TestWhereAPersonStarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong []string
		at    string // "": the alert
		text  string
		lines int
	}{
		"the one field":        {[]string{"b"}, "b", "Something needs another look.", 1},
		"several":              {[]string{"a", "b"}, "", "Something needs another look.", 2},
		"one field and more":   {[]string{"b", "other"}, "", "Something needs another look.", 2},
		"none of the fields":   {[]string{"other"}, "", "of other", 0},
		"several of no fields": {[]string{"other", ""}, "", "Something needs another look.", 2},
	} {
		a, b := Field{Name: "a", Focus: true}, Field{Name: "b"}
		var alert Alert
		var faults []*identity.Error
		for _, field := range c.wrong {
			faults = append(faults, identity.Invalid(field, "of "+field))
		}
		Refuse(request("GET"), &alert, faults, &a, &b)
		if a.Focus || b.Focus != (c.at == "b") || alert.AtField != (c.at != "") || alert.Text != c.text || len(alert.Faults) != c.lines {
			t.Errorf("%s: %+v, fields %+v %+v", name, alert, a, b)
		}
	}
	var alert Alert
	code, none := Field{Name: "code"}, Field{}
	if code.Wrong(&alert, "no"); alert.Text != "no" || !alert.AtField || !code.Focus || code.Describes != "alert" {
		t.Errorf("%+v, %+v", alert, code)
	}
	if none.Wrong(&alert, "no"); alert.AtField {
		t.Error("the person starts at a field that is not there")
	}
}

func TestDetailsAreTranslated(t *testing.T) {
	t.Parallel()
	for _, fault := range details.Faults() {
		t.Error(fault)
	}
}
