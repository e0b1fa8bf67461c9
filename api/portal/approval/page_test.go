package approval

import (
	"net/http"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

var (
	ada = &portal.Visitor{
		Session: &session.Session{ID: "ses_1", UserID: "usr_1"},
		User:    &directory.User{ID: "usr_1", Username: "ada", Name: "Ada Lovelace", Email: "ada@example.com"},
	}
	laptop = &approval.Approver{ID: "apb_1", Name: "Firefox with a name that somebody has made rather long, for whatever reason"}
)

func question(r *http.Request) answerView {
	return answerView{
		Account: ada.Account(r, "approvals"), Request: "apv_1", Application: "Wiki", Browser: "Chrome on Windows", Place: "203.0.113.7", Begun: "a moment ago", Action: "/account/approvals/sign-in",
		Number: page.Field{Name: "number", Label: site.Text(r, "answer.number"), Hint: site.Text(r, "answer.number.hint"), Numeric: true},
	}
}

// one is the page of this browser.
func one(r *http.Request, push pushView) oneView {
	return oneView{
		Account: ada.Account(r, "security"), Called: laptop.Name, Action: "/account/security/approvers/apb_1", Push: push,
		Name: page.Field{Name: "name", Label: site.Text(r, "name"), Value: laptop.Name},
	}
}

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"new": func(w http.ResponseWriter, r *http.Request) error { return New(Config{}).writeNew(w, r, ada, 200, "") },
	"new_first": func(w http.ResponseWriter, r *http.Request) error {
		return New(Config{}).writeNew(w, r, ada, 200, "new.first")
	},
	"new_wrong": func(w http.ResponseWriter, r *http.Request) error {
		return New(Config{}).writeNew(w, r, ada, 422, "", identity.Invalid("name", ""))
	},
	"one": func(w http.ResponseWriter, r *http.Request) error {
		return New(Config{}).writeOne(w, r, ada, 200, laptop, nil)
	},
	"one_offer": func(w http.ResponseWriter, r *http.Request) error {
		return onePage.Write(w, r, 200, one(r, pushView{Action: "/account/security/approvers/apb_1/tell", Key: "BAE", Worker: page.WorkerPath, Scope: "/account/"}))
	},
	"one_told": func(w http.ResponseWriter, r *http.Request) error {
		return onePage.Write(w, r, 200, one(r, pushView{Action: "/account/security/approvers/apb_1/quiet", Scope: "/account/"}))
	},
	"answer": func(w http.ResponseWriter, r *http.Request) error { return answerPage.Write(w, r, 200, question(r)) },
	"answer_wrong": func(w http.ResponseWriter, r *http.Request) error {
		view := question(r)
		view.Number.Wrong(&view.Alert, site.Text(r, "answer.wrong", 2))
		return answerPage.Write(w, r, 422, view)
	},
	"answer_elsewhere": func(w http.ResponseWriter, r *http.Request) error {
		view := question(r)
		view.Why = site.Text(r, "answer.elsewhere")
		return answerPage.Write(w, r, 200, view)
	},
	"answer_none": func(w http.ResponseWriter, r *http.Request) error {
		account := ada.Account(r, "approvals")
		account.Poll = "/account/approvals/asked"
		return answerPage.Write(w, r, 200, answerView{Account: account, Notice: site.Text(r, "done.approved"), Action: "/account/approvals/sign-in"})
	},
}

// Nothing inline, one h1, a label for every input that is seen: on every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	pagetest.Each(t, examples)
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(key, code string) bool {
		what, done := strings.CutPrefix(key, "done.")
		return done && strings.Contains(code, `"`+what+`"`)
	}, newPage.Keys(), onePage.Keys(), answerPage.Keys())
}

func TestTranslations(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}
