package page

import (
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

// The parameter by which a person chooses a language, on any page. It is not ui_locales,
// which is what an application believes: that never outlives its request.
const choiceParameter = "lang"

const (
	choiceLifetime = 365 * 24 * time.Hour // how long a browser remembers what was chosen
	justNow        = 30 * time.Minute     // a choice as young belongs to the sign-in at hand
)

// wish is what is known of the language of a request besides the request.
type wish struct {
	locales string // as ui_locales has it
	own     string // what the person's account says
	here    string // see Here
}

type wishKey struct{}

func with(r *http.Request, change func(*wish)) *http.Request {
	w, _ := r.Context().Value(wishKey{}).(wish)
	change(&w)
	return r.WithContext(context.WithValue(r.Context(), wishKey{}, w))
}

// Wish is r with the ui_locales (OpenID Connect) of the sign-in that it belongs to.
func Wish(r *http.Request, locales string) *http.Request {
	return with(r, func(w *wish) { w.locales = locales })
}

// Account is r from somebody whose account says that they read locale, a BCP 47 tag or "".
func Account(r *http.Request, locale string) *http.Request {
	return with(r, func(w *wish) { w.own = locale })
}

// Here is r whose answer can be had again by a GET of path, which is one of ours with a
// query, if any. Set it for answers to a form, so that their language can be changed.
func Here(r *http.Request, path string) *http.Request {
	return with(r, func(w *wish) { w.here = path })
}

// Within is r that belongs to a sign-in of these ui_locales whose form is at path: [Wish] and [Here].
func Within(r *http.Request, locales, path string) *http.Request {
	return with(r, func(w *wish) { w.locales, w.here = locales, path })
}

// Language is the language that r is answered in, by the first that says one: the choice
// on this page or a moment ago, the application, an earlier choice, the account, the browser.
// Otherwise it is the tenant's, or English. A tenant may leave languages out.
func Language(r *http.Request) language.Tag {
	look := lookOf(r)
	open := func(t language.Tag, ok bool) bool {
		return ok && (len(look.Languages) == 0 || slices.Contains(look.Languages, t))
	}
	if t, ok := chosen(r); open(t, ok) {
		return t
	}
	known, _ := r.Context().Value(wishKey{}).(wish)
	cookie, age, remembered := recall(r)
	remembered = open(cookie, remembered)
	if remembered && age < justNow {
		return cookie
	}
	locales := known.locales
	if locales == "" && strings.Contains(r.URL.RawQuery, "ui_locales=") {
		locales = r.URL.Query().Get("ui_locales")
	}
	if t, ok := language.Match(locales); open(t, ok) {
		return t
	}
	if remembered {
		return cookie
	}
	for _, list := range []string{known.own, r.Header.Get("Accept-Language")} {
		if t, ok := language.Match(list); open(t, ok) {
			return t
		}
	}
	switch {
	case look.Default != "":
		return look.Default
	case len(look.Languages) > 0:
		return look.Languages[0]
	}
	return language.Source
}

// chosen is the language that a person has just pressed.
func chosen(r *http.Request) (language.Tag, bool) {
	if !strings.Contains(r.URL.RawQuery, choiceParameter+"=") {
		return "", false
	}
	return language.Parse(r.URL.Query().Get(choiceParameter))
}

// choices is a form that asks for the page that answers r in another language. Links would each repeat what is in the
// query, such as a sealed flow. It is not written by the template: that took longer than the rest of a page.
func choices(r *http.Request, current language.Tag) template.HTML {
	known, _ := r.Context().Value(wishKey{}).(wish)
	path, query := "", r.URL.RawQuery // "": where the browser is
	switch {
	case known.here != "":
		path, query, _ = strings.Cut(known.here, "?")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		path, query = Base(r)+"/", ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		values = nil
	}
	var b strings.Builder
	write := func(parts ...string) {
		for _, part := range parts {
			b.WriteString(part)
		}
	}
	write("<form")
	if path != "" {
		write(` action="`, template.HTMLEscapeString(path), `"`)
	}
	write(">")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == choiceParameter {
			continue
		}
		for _, value := range values[name] {
			write("\n<input type=\"hidden\" name=\"", template.HTMLEscapeString(name), "\" value=\"", template.HTMLEscapeString(value), "\">")
		}
	}
	write("\n<ul>")
	all := language.All
	if open := lookOf(r).Languages; len(open) > 0 {
		all = open
	}
	for _, t := range all {
		write("\n<li><button name=\"", choiceParameter, "\" value=\"", string(t), "\" lang=\"", string(t), "\"")
		if t == current {
			write(` aria-current="true"`)
		}
		write(">", t.Name(), "</button></li>")
	}
	write("\n</ul>\n</form>")
	return template.HTML(b.String())
}

// The cookie holds the language and when it was chosen, in Unix seconds: "de.1764366000".
// It is of all tenants: the person is the same.
func choiceCookie(r *http.Request) (name string, secure bool) {
	t := identity.TenantFrom(r.Context())
	t.Slug = ""
	return CookieName(t, "quis_language"), overTLS(t)
}

// remember has the browser keep what r chooses.
func remember(w http.ResponseWriter, r *http.Request) {
	t, ok := chosen(r)
	if !ok {
		return
	}
	name, secure := choiceCookie(r)
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: string(t) + "." + strconv.FormatInt(time.Now().Unix(), 10), Path: "/",
		MaxAge: int(choiceLifetime / time.Second), Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// recall returns what the browser remembers, and how long ago it was chosen.
func recall(r *http.Request) (language.Tag, time.Duration, bool) {
	name, _ := choiceCookie(r)
	c, err := r.Cookie(name)
	if err != nil {
		return "", 0, false
	}
	tag, at, _ := strings.Cut(c.Value, ".")
	seconds, err := strconv.ParseInt(at, 10, 64)
	t, ok := language.Parse(tag)
	return t, time.Since(time.Unix(seconds, 0)), ok && err == nil
}
