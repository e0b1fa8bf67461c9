package page

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/quis-idp/quis/identity"
)

func TestOwnTextsAreTranslated(t *testing.T) {
	t.Parallel()
	for _, fault := range errorSite.Faults() {
		t.Error(fault)
	}
}

// asking is a request to target by a browser that accepts and remembers; old: long ago.
func asking(target, accepts, remembers string, old bool) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"}))
	r.Header.Set("Accept-Language", accepts)
	at := time.Now()
	if old {
		at = at.Add(-24 * time.Hour)
	}
	if remembers != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-quis_language", Value: remembers + "." + strconv.FormatInt(at.Unix(), 10)})
	}
	return r
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		r    *http.Request
		want string
	}{
		"nothing said":                  {asking("/", "", "", false), "en"},
		"browser":                       {asking("/", "de-AT,en;q=0.5", "", false), "de"},
		"browser of none of ours":       {asking("/", "zh-CN", "", false), "en"},
		"account before browser":        {Account(asking("/", "de", "", false), "pl"), "pl"},
		"cookie before account":         {Account(asking("/", "de", "it", true), "pl"), "it"},
		"application before old choice": {Wish(asking("/", "de", "it", true), "fr-CA fr en"), "fr"},
		"choice of this sign-in first":  {Wish(asking("/", "de", "it", false), "fr"), "it"},
		"parameter of the request":      {asking("/?ui_locales=xx+ja", "de", "it", true), "ja"},
		"application says none of ours": {Wish(asking("/", "de", "", true), "zh xx"), "de"},
		"pressed just now":              {Wish(asking("/?lang=es&ui_locales=fr", "de", "it", false), "ja"), "es"},
		"pressed what is not there":     {asking("/?lang=zh", "de", "", false), "de"},
		"cookie of nonsense":            {asking("/", "de", "zz", false), "de"},
		"both kept":                     {Wish(Account(asking("/", "de", "", false), "pl"), "zh"), "pl"},
	} {
		if got := Language(tc.r); string(got) != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestChoice(t *testing.T) {
	t.Parallel()
	site := NewSite(fstest.MapFS{
		"p.html":        {Data: []byte(`{{define "title"}}T{{end}}{{define "main"}}<h1>{{t "hello" .Name}}</h1>{{end}}`)},
		"texts/de.json": {Data: []byte(`{"hello": "Guten Tag, %s"}`)},
	}, Texts{"hello": "Hello, %s"})
	p := Page[view](site, "p.html")
	write := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		if err := p.Write(w, r, 200, view{"Ada"}); err != nil {
			t.Fatal(err)
		}
		return w
	}

	w := write(asking("/login?flow=a%2Bb&lang=de&lang=fr", "it", "", false))
	for _, want := range []string{`<html lang="de" dir="ltr">`, "Guten Tag, Ada", "Sprache: Deutsch", "<form>\n<input type=\"hidden\" name=\"flow\" value=\"a+b\">\n<ul>", `<button name="lang" value="ja" lang="ja">`, `aria-current="true">Deutsch<`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	h := w.Header()
	if h.Get("Content-Language") != "de" || h.Get("Vary") != "Accept-Language, Cookie" || !strings.HasPrefix(h.Get("Set-Cookie"), "__Host-quis_language=de.") ||
		!strings.Contains(h.Get("Set-Cookie"), "HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("%v", h)
	}
	r := asking("/", "", "", false)
	r.Header.Set("Cookie", strings.Split(h.Get("Set-Cookie"), ";")[0])
	if w := write(r); w.Header().Get("Content-Language") != "de" || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("remembered: %v", w.Header())
	}
	if w := write(asking("/", "it", "", false)); !strings.Contains(w.Body.String(), "Hello, Ada") || w.Header().Get("Content-Language") != "it" {
		t.Errorf("a language that lacks the text: %s", w.Body)
	}
}

// The language of an answer to a form can be changed where it can be had again, and a page
// that the browser leaves by itself has nothing to press.
func TestWhereTheChoiceLeads(t *testing.T) {
	t.Parallel()
	p := Page[view](NewSite(files(`<h1>x</h1>`), nil), "p.html")
	post := request("POST")
	for name, tc := range map[string]struct {
		r    *http.Request
		want string
	}{
		"anywhere":            {post, `<form action="/t/acme/">` + "\n<ul>"},
		"where it says":       {Here(post, "/t/acme/login?flow=F&lang=it"), `<form action="/t/acme/login">` + "\n" + `<input type="hidden" name="flow" value="F">` + "\n<ul>"},
		"twice the same":      {Here(post, `/t/acme/login?a=2&a=%221`), `<input type="hidden" name="a" value="2">` + "\n" + `<input type="hidden" name="a" value="&#34;1">` + "\n<ul>"},
		"however it is spelt": {asking("/?l%61ng=it&a=1", "", "", false), "<form>\n" + `<input type="hidden" name="a" value="1">` + "\n<ul>"},
		"with a broken query": {asking("/?a=%zz;", "", "", false), "<form>\n<ul>"},
	} {
		w := httptest.NewRecorder()
		if err := p.Write(w, tc.r, 200, view{}); err != nil || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s: %v, no %s in %s", name, err, tc.want, w.Body)
		}
	}
	w := httptest.NewRecorder()
	Leave(w, "/")
	if err := p.Write(w, request("GET"), 200, view{}); err != nil || strings.Contains(w.Body.String(), `name="lang"`) {
		t.Errorf("%v: a page that is left at once: %s", err, w.Body)
	}
	w = httptest.NewRecorder()
	if err := p.WritePosting(w, request("GET"), 200, view{}, "https://app.example.com"); err != nil || strings.Contains(w.Body.String(), `name="lang"`) {
		t.Errorf("%v: a page that posts itself: %s", err, w.Body)
	}
}

func BenchmarkWrite(b *testing.B) {
	p := Page[view](NewSite(files(`<h1>{{t "hello" .Name}}</h1>`), Texts{"hello": "Hello, %s"}), "p.html")
	r := asking("/login?flow=abc", "de-AT,de;q=0.9,en;q=0.8", "", false)
	for b.Loop() {
		if err := p.Write(httptest.NewRecorder(), r, 200, view{"Ada"}); err != nil {
			b.Fatal(err)
		}
	}
}
