package consent

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
)

const questionPath = "/consent"

// Ask shows what an application asks for. It is the oidc room's ConsentPage.
func (p *Pages) Ask(w http.ResponseWriter, r *http.Request, app *federation.Application, q *consent.Question) {
	var u *directory.User
	var words consent.Words
	s, err := p.session(r)
	if err != nil {
		page.Fail(w, r, err)
		return
	}
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) (err error) {
		if u, _, err = directory.GetUser(tx, q.Tenant, q.UserID); err != nil {
			return err
		}
		r = page.Account(page.Wish(r, strings.Join(q.Locales, " ")), u.Locale)
		words, err = consent.Describe(tx, app, q, languages(r, q.Locales, u)...)
		return err
	})
	if err == nil {
		view := showQuestion(r, app, q, u, words)
		view.Acting = page.ActingIf(r, s != nil && s.Impersonation != nil)
		err = questionPage.Write(w, r, http.StatusOK, view)
	}
	if err != nil {
		page.Fail(w, r, err)
	}
}

func showQuestion(r *http.Request, app *federation.Application, q *consent.Question, u *directory.User, words consent.Words) questionView {
	v := questionView{
		Application: app.DisplayName(), Initials: initials(app.DisplayName()), Target: target(r, q.Redirect),
		Unverified: app.Registration.Kind != federation.RegisteredByAdmin, APIs: strings.Join(words.APIs, ", "),
		Policy: outside(app.PolicyURI), Terms: outside(app.TermsURI), Person: shown(u),
		Action: page.Base(r) + questionPath, Question: q.Sealed(),
	}
	if app.Registration.Kind == federation.RegisteredByDocument {
		v.Document = app.ClientID
	}
	for _, item := range words.Items {
		if item.Text == "" {
			item.Text = site.Text(r, "scope.other", item.Name)
		}
		if item.Optional {
			v.Choices = append(v.Choices, item)
		} else {
			v.Items = append(v.Items, item)
		}
	}
	if len(words.Claims) > 0 {
		v.Items = append(v.Items, consent.Item{Text: site.Text(r, "question.claims", strings.Join(words.Claims, ", "))})
	}
	return v
}

// answer takes what the person says. It ends with 200 and a Refresh header: the way on
// leads to another origin.
func (p *Pages) answer(w http.ResponseWriter, r *http.Request) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	s, err := p.session(r)
	if err != nil {
		return err
	}
	user, session := "", ""
	if s != nil {
		user, session = s.UserID, s.ID
	}
	q, err := p.desk.Open(r.Context(), f.Get("question"), user, session)
	if err != nil {
		return p.unanswered(w, r, err)
	}
	var to string
	switch f.Get("decision") {
	case "allow":
		to, err = p.desk.Allow(r.Context(), q, f["scope"])
	case "other":
		return p.another(w, r, q)
	default: // anything else is a no
		to, err = p.desk.Deny(q)
	}
	if err != nil {
		return p.unanswered(w, r, err)
	}
	page.Leave(w, to)
	return messagePage.Write(w, r, http.StatusOK, messageView{
		Title: site.Text(r, "leaving.title"), Detail: site.Text(r, "leaving.detail"), Link: to, Label: site.Text(r, "leaving.link"),
	})
}

// another has somebody else sign in, for the same request.
func (p *Pages) another(w http.ResponseWriter, r *http.Request, q *consent.Question) error {
	need := authn.Need{ReturnTo: q.ReturnTo, Login: true, Locales: strings.Join(q.Locales, " ")}
	err := p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		app, _, err := federation.Get(tx, q.Tenant, q.Application)
		if err == nil {
			need.Application = app.DisplayName()
		}
		return err
	})
	if err != nil {
		return err
	}
	flow, err := p.cfg.Flows.Begin(r.Context(), need)
	if errors.Is(err, identity.ErrInvalid) { // longer than a flow carries
		return page.Onward(w, r, page.Base(r)+"/logout")
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+"/login?"+url.Values{"flow": {flow}}.Encode())
}

// unanswered tells why an answer does not count; other errors stay errors.
func (p *Pages) unanswered(w http.ResponseWriter, r *http.Request, err error) error {
	status, text := http.StatusGone, "gone"
	switch {
	case errors.Is(err, consent.ErrOther):
		status, text = http.StatusForbidden, "other"
	case !errors.Is(err, consent.ErrDead):
		return err
	}
	return messagePage.Write(w, r, status, messageView{
		Title: site.Text(r, "question."+text+".title"), Detail: site.Text(r, "question."+text+".detail"),
		Link: page.Base(r) + "/", Label: site.Text(r, "home.link"),
	})
}

// languages are those that a person reads, best first: that of the page, and others.
func languages(r *http.Request, asked []string, u *directory.User) []string {
	all := append([]string{string(page.Language(r))}, asked...)
	if u.Locale != "" {
		all = append(all, u.Locale)
	}
	for i, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		if i == 10 || tag == "" || tag == "*" {
			break
		}
		all = append(all, tag)
	}
	return all
}

// initials stand where a picture would: one from elsewhere is not loaded, since whoever
// keeps it would learn who looks.
func initials(name string) string {
	var out []rune
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if r, _ := utf8.DecodeRuneInString(word); len(out) < 2 {
			out = append(out, unicode.ToUpper(r))
		}
	}
	return string(out)
}

// target is where the answer goes, for a person to compare: a host, or the name of a
// scheme that an application on this device has taken.
func target(r *http.Request, redirect string) string {
	u, err := url.Parse(redirect)
	switch {
	case err != nil:
		return ""
	case u.Host != "":
		return u.Host
	}
	return site.Text(r, "question.scheme", u.Scheme)
}

// outside is a link that may stand on our page.
func outside(link string) string {
	if u, err := url.Parse(link); err != nil || u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return link
}
