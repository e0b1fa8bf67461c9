package demo

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed page.html demo.css
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// A view is what the page shows.
type view struct {
	Issuer, ClientID, Notice, Problem string

	SignedIn bool
	Name     string
	Initial  string
	Session  []pair
	Tokens   []tokenView
	Userinfo string
	Refresh  bool // there is a refresh token
}

type pair struct{ Name, Value string }

type tokenView struct {
	Title, Note    string
	Header, Claims string // indented JSON, "" for an opaque token
	Raw            string
}

func (a *app) render(w http.ResponseWriter, s *session) {
	v := view{Issuer: a.Issuer, ClientID: a.ClientID, Notice: s.notice, Problem: s.problem}
	if t := s.tokens; t != nil {
		v.SignedIn, v.Userinfo, v.Refresh = true, s.userinfo, t.Refresh != ""
		v.Name = nameIn(t.IDToken)
		v.Initial = strings.ToUpper(string([]rune(v.Name)[:1]))
		v.Session = []pair{
			{"Scopes granted", t.Scope},
			{"Access token good until", t.got.Add(time.Duration(t.ExpiresIn) * time.Second).Format("15:04:05")},
			{"Refreshed", times(s.refresh)},
		}
		v.Tokens = []tokenView{
			show("ID token", "who signed in: for this application only", t.IDToken),
			show("Access token", "what this application may do: sent to APIs", t.Access),
		}
		if t.Refresh != "" {
			v.Tokens = append(v.Tokens, tokenView{Title: "Refresh token", Note: "opaque; each one works once", Raw: shorten(t.Refresh)})
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	page.ExecuteTemplate(w, "page.html", v) // the browser may have gone
}

func show(title, note, token string) tokenView {
	t, err := parseJWT(token)
	if err != nil {
		return tokenView{Title: title, Note: note, Raw: shorten(token)}
	}
	return tokenView{Title: title, Note: note, Header: indent(t.Header), Claims: indent(t.Claims), Raw: token}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func shorten(s string) string {
	if len(s) <= 24 {
		return s
	}
	return s[:16] + "…" + s[len(s)-6:]
}

// nameIn is how the ID token's user is called.
func nameIn(token string) string {
	var c struct {
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
		Subject  string `json:"sub"`
	}
	if t, err := parseJWT(token); err == nil && json.Unmarshal(t.Claims, &c) == nil {
		for _, n := range []string{c.Name, c.Username, c.Subject} {
			if n != "" {
				return n
			}
		}
	}
	return "somebody"
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	http.ServeFileFS(w, r, files, "demo.css")
}
