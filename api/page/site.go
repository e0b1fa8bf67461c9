package page

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

// ContentSecurityPolicy is the policy of every page. form-action also governs the
// redirects of a form post, so a form that ends at another origin must be answered with
// 200 and a Refresh header, never with a redirect (see [Leave]).
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

//go:embed templates texts
var kit embed.FS

// A Site is a set of pages of one room, with its texts.
type Site struct {
	files fs.FS
	texts *language.Catalogue
	pages []func() error // what is wrong with each
}

// NewSite takes the templates of a room (files named by [Page]) with the translations of
// its texts (texts/de.json and so on), and the texts in English.
func NewSite(files fs.FS, english Texts) *Site {
	return &Site{files: files, texts: language.New(english, files)}
}

// A Template is a page that shows a T.
type Template[T any] struct {
	site  *Site
	files []string // see parse

	mu     sync.Mutex
	spoken map[language.Tag]*template.Template
}

// Page is the template file name of s, which defines "title" and "main", with files of parts
// that it uses. It is read when it is first shown: [Site.Faults] says whether it can be.
func Page[T any](s *Site, name string, parts ...string) *Template[T] {
	t := &Template[T]{site: s, files: append(slices.Clip(parts), name), spoken: map[language.Tag]*template.Template{}}
	s.pages = append(s.pages, func() error {
		parsed, err := t.parse(nothing)
		if err == nil {
			err = s.check(parsed)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return t
}

// parse reads the page, whose texts say finds. To have all pages read and ready took 8 MiB,
// a third of what an idle node has in its heap, and most nodes show few.
func (t *Template[T]) parse(say func(key string, args ...any) (string, error)) (*template.Template, error) {
	parsed, err := template.New("layout.html").Option("missingkey=error").Funcs(template.FuncMap{"t": say, "asset": assetPath, "language": unfolded}).ParseFS(kit, "templates/*.html")
	if err != nil {
		return nil, err
	}
	return parsed.ParseFS(t.site.files, t.files...)
}

// nothing is said by a page that is read for what it would say.
func nothing(string, ...any) (string, error) { return "", nil }

// unfolded stands for functions that fold calls, and fails where a page has them in a form
// that it does not.
func unfolded(what string) (string, error) {
	return "", fmt.Errorf("%s is asked for in other than so many words", what)
}

// in is the template as it speaks the language tag. It is made when first asked for: a
// cluster speaks few of the languages there are.
func (t *Template[T]) in(tag language.Tag) (*template.Template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spoken[tag] == nil {
		say := func(key string, args ...any) (string, error) { return t.site.text(tag, key, args...) }
		spoken, err := t.parse(say)
		if err == nil {
			err = fold(spoken, map[string]func(string) (string, error){
				"asset":    assetPath,
				"language": func(what string) (string, error) { return speech(tag, what) },
				"t":        func(key string) (string, error) { return say(key) },
			})
		}
		if err != nil {
			return nil, err
		}
		t.spoken[tag] = spoken
	}
	return t.spoken[tag], nil
}

// speech is what the layout says of the language that the page is in.
func speech(t language.Tag, what string) (string, error) {
	switch what {
	case "tag":
		return string(t), nil
	case "name":
		return t.Name(), nil
	case "direction":
		return t.Direction(), nil
	}
	return "", fmt.Errorf("nothing is known of a language's %s", what)
}

// frame is what the layout shows around a page.
type frame struct {
	Languages template.HTML // to read the page in; empty: it leaves by itself
	Title     string        // name, or ours
	Brand     string        // name in place of the wordmark; "": ours
	Sheet     string        // path of the style sheet of the tenant's colour; "": ours
	Home      string        // where the wordmark leads
	Host      string        // where the person is, to be compared with the address bar
	Safe      bool          // over https
	Data      any
}

// sheets are what pages were written on: in one piece, so that none is sent by half.
var sheets = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Write answers with the page, in one piece and never to be stored: it shows somebody's data.
func (t *Template[T]) Write(w http.ResponseWriter, r *http.Request, status int, data T) error {
	return t.write(w, r, status, data, ContentSecurityPolicy, false)
}

// WritePosting is Write for a page whose form goes to another origin: source is one source
// expression, by which the policy lets it. The page must hold no other form. Browsers hold
// the redirects that follow the post to the same source.
func (t *Template[T]) WritePosting(w http.ResponseWriter, r *http.Request, status int, data T, source string) error {
	if strings.ContainsAny(source, " ;,\t\r\n") || source == "" {
		return fmt.Errorf("form to %q: no source expression", source)
	}
	const own = "form-action 'self'"
	// Only the origin is told where the form comes from: our own address holds the request.
	w.Header().Set("Referrer-Policy", "strict-origin")
	return t.write(w, r, status, data, strings.Replace(ContentSecurityPolicy, own, own+" "+source, 1), true)
}

// WriteFraming is Write for a page that loads frames of other origins: the policy of this
// answer, and of no other, allows exactly those. Give it what [Frames] returned.
func (t *Template[T]) WriteFraming(w http.ResponseWriter, r *http.Request, status int, data T, frames []string) error {
	policy := ContentSecurityPolicy
	if len(frames) > 0 {
		policy += "; frame-src " + strings.Join(origins(frames), " ")
	}
	return t.write(w, r, status, data, policy, false)
}

func (t *Template[T]) write(w http.ResponseWriter, r *http.Request, status int, data T, policy string, posting bool) error {
	tag, f := Language(r), frameOf(r)
	f.Data = data
	if w.Header().Get("Refresh") == "" && !posting {
		f.Languages = choices(r, tag)
	}
	b := sheets.Get().(*bytes.Buffer)
	defer sheets.Put(b)
	b.Reset()
	if err := t.render(b, tag, f); err != nil {
		return err
	}
	send(w, r, status, tag, policy, b.Bytes())
	return nil
}

// frameOf is the frame of pages that answer r.
func frameOf(r *http.Request) frame {
	look, issuer := lookOf(r), place(r)
	return frame{Title: cmp.Or(look.Name, "quis"), Brand: look.Name, Sheet: brandPath(look.Color), Home: Base(r) + "/", Host: issuer.Host, Safe: issuer.Scheme == "https"}
}

func (t *Template[T]) render(b *bytes.Buffer, tag language.Tag, f frame) error {
	spoken, err := t.in(tag)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	if err := spoken.Execute(b, f); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	return nil
}

// send answers with a page in one piece.
func send(w http.ResponseWriter, r *http.Request, status int, tag language.Tag, policy string, body []byte) {
	h := w.Header()
	remember(w, r)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(tag))
	h.Add("Vary", "Accept-Language, Cookie")
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the person has left: nobody to tell
	}
}

// Base is the path that all of the tenant's URLs begin with: empty for the default tenant.
func Base(r *http.Request) string {
	if slug := identity.TenantFrom(r.Context()).Slug; slug != "" {
		return "/t/" + slug
	}
	return ""
}

// Leave makes the page that is written next lead on to target by itself, at once. The
// page must also show a link to target, for who has that switched off.
func Leave(w http.ResponseWriter, target string) { LeaveAfter(w, 0, target) }

// LeaveAfter is Leave for a page that has something to load first: it leads on so many
// seconds after that is done.
func LeaveAfter(w http.ResponseWriter, seconds int, target string) {
	w.Header().Set("Refresh", strconv.Itoa(seconds)+"; url="+target)
}

// place is where the person is by the tenant's issuer, never by the Host header, which a stranger chooses.
func place(r *http.Request) *url.URL {
	u, err := url.Parse(identity.TenantFrom(r.Context()).Issuer)
	if err != nil {
		return &url.URL{}
	}
	return u
}
