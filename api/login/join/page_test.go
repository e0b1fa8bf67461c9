package join

import (
	"net/http"
	"testing"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/page/pagetest"
)

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"account": func(w http.ResponseWriter, r *http.Request) error {
		return accountPage.Write(w, r, 422, accountView{
			Email: "ada@example.com", Action: "/invite/SECRET", Passkey: "/invite/SECRET/passkey", Chooses: true, WithPassword: true,
			Alert:    page.Alert{Text: "Something needs another look."},
			Name:     page.Field{Name: "name", Label: "Name", Optional: true},
			Username: page.Field{Name: "username", Label: "Username", Hint: site.Text(r, "account.username.hint"), Error: "Somebody else has this already.", Optional: true},
			Password: page.Field{Name: "password", Label: "Password", Type: "password", Hint: site.Text(r, "password.hint", 15)},
		})
	},
	"account_passkey_only": func(w http.ResponseWriter, r *http.Request) error {
		return accountPage.Write(w, r, 200, accountView{
			Email: "ada@example.com", Login: "ada@example.com", Action: "/register/account", Passkey: "/register/passkey", Hidden: []hidden{{"flow", "FLOW"}},
			Name: page.Field{Name: "name", Label: "Name", Optional: true},
		})
	},
	"passkey": func(w http.ResponseWriter, r *http.Request) error {
		return passkeyPage.Write(w, r, 200, passkeyView{Action: "/register/account", Password: "/register/passkey", Options: "{}", Session: "S", Hidden: []hidden{{"name", "Ada"}}})
	},
	"address": func(w http.ResponseWriter, r *http.Request) error {
		return addressPage.Write(w, r, 422, addressView{
			Application: "Web", Action: "/register", Flow: "FLOW", SignIn: "/login",
			Email: page.Field{Name: "email", Label: "Email", Type: "email", Error: "This is not an email address.", Focus: true},
		})
	},
	"code": func(w http.ResponseWriter, r *http.Request) error {
		return codePage.Write(w, r, 200, codeView{
			Action: "/register/code", Flow: "FLOW", Box: "BOX", Email: "ada@example.com", Again: "/register", Restart: "/register",
			Code: page.Field{Name: "code", Label: "Code from the email", Numeric: true},
		})
	},
	"code_link": func(w http.ResponseWriter, r *http.Request) error {
		return codePage.Write(w, r, 200, codeView{Action: "/register/code", Box: "BOX", Token: "TOKEN", Email: "ada@example.com", Again: "/register", Restart: "/register"})
	},
	"closed": func(w http.ResponseWriter, r *http.Request) error { return message(w, r, 403, "closed") },
	"used":   func(w http.ResponseWriter, r *http.Request) error { return message(w, r, 410, "used") },
	"late":   func(w http.ResponseWriter, r *http.Request) error { return message(w, r, 410, "late") },
}

// Nothing inline, one h1, a label for every input that is seen: on every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	pagetest.Each(t, examples)
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(key, _ string) bool {
		switch key { // of message
		case "closed.title", "closed.detail", "used.title", "used.detail", "late.title", "late.detail":
			return true
		}
		return false
	}, accountPage.Keys(), passkeyPage.Keys(), addressPage.Keys(), codePage.Keys(), messagePage.Keys())
}
