package inbox

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
)

//go:embed templates
var files embed.FS

// english is the one language of a page that only developers see.
var english = page.Texts{
	"inbox.title":   "Inbox",
	"inbox.heading": "Mail of this machine",
	"inbox.lead":    "Everything that would have been sent, newest first. Nothing of it has left this machine.",
	"inbox.empty":   "There is no mail yet.",
	"inbox.back":    "All mail",
	"inbox.html":    "As HTML",
	"inbox.to":      "To",
	"inbox.from":    "From",
	"inbox.date":    "Date",
	"inbox.json":    "As JSON, for tests",
}

var site = page.NewSite(files, english)

type (
	listView struct{ Mails []Mail }

	mailView struct {
		Mail
		Lines []line
	}

	// line is one of the plain text: a link if it is nothing else.
	line struct{ Text, Link string }
)

func viewOf(m *Mail) mailView {
	v := mailView{Mail: *m}
	for _, l := range strings.Split(strings.TrimSpace(m.Text), "\n") {
		if strings.HasPrefix(l, "http://") || strings.HasPrefix(l, "https://") {
			v.Lines = append(v.Lines, line{Link: l})
		} else {
			v.Lines = append(v.Lines, line{Text: l})
		}
	}
	return v
}

var (
	listPage = page.Page[listView](site, "templates/list.html")
	mailPage = page.Page[mailView](site, "templates/mail.html")
)

// Routes mounts the pages. Do it on a developer's machine only.
func (b *Box) Routes(mux *http.ServeMux) {
	mux.Handle("GET /dev/mail", page.Handle(b.list))
	mux.Handle("GET /dev/mail.json", page.Handle(b.json))
	mux.Handle("GET /dev/mail/{id}", page.Handle(b.show))
	mux.Handle("GET /dev/mail/{id}/html", page.Handle(b.html))
}

func (b *Box) list(w http.ResponseWriter, r *http.Request) error {
	mails, err := b.List("")
	if err != nil {
		return err
	}
	return listPage.Write(w, r, http.StatusOK, listView{mails})
}

func (b *Box) json(w http.ResponseWriter, r *http.Request) error {
	mails, err := b.List(r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(mails) // the reader has left: nobody to tell
	return nil
}

func (b *Box) find(r *http.Request) (*Mail, error) {
	m, err := b.Get(r.PathValue("id"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.ErrRoute
	}
	return m, err
}

func (b *Box) show(w http.ResponseWriter, r *http.Request) error {
	m, err := b.find(r)
	if err != nil {
		return err
	}
	return mailPage.Write(w, r, http.StatusOK, viewOf(m))
}

// sandbox lets a letter style itself and nothing else. Its links open beside it, as they
// would in a mail program, and are outside the sandbox.
const sandbox = "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (b *Box) html(w http.ResponseWriter, r *http.Request) error {
	m, err := b.find(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", sandbox)
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(m.HTML)) // the reader has left: nobody to tell
	return nil
}
