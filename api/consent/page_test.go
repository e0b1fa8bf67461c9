package consent

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/identity/language"
)

var (
	ada = person{"Ada Lovelace", "ada@example.com"}
	nav = page.Navigation{At: "applications", Name: ada.Name, Login: ada.Login}
)

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"user_code": func(w http.ResponseWriter, r *http.Request) error {
		return userCodePage.Write(w, r, 200, userCodeView{nil, ada, "/device", page.Field{Name: "user_code", Label: "Code", Value: "WDJB-MJHT", Hint: site.Text(r, "code.hint"), Autocomplete: "off"}})
	},
	"user_code_wrong": func(w http.ResponseWriter, r *http.Request) error {
		return userCodePage.Write(w, r, 404, userCodeView{nil, ada, "/device", page.Field{Name: "user_code", Label: "Code", Value: "WDJB-MJHT", Hint: site.Text(r, "code.hint"), Error: site.Text(r, "code.wrong"), Focus: true}})
	},
	"device": func(w http.ResponseWriter, r *http.Request) error {
		return devicePage.Write(w, r, 200, deviceView{
			Person: ada, Application: "Living Room Television", Code: "WDJB-MJHT", Begun: "2 minutes ago", Elsewhere: true,
			From:   "2001:db8:4f2e:99a1:1c2d:3e4f:5a6b:7c8d, which calls itself “Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0)”",
			Asks:   []ask{{"know who you are", ""}, {"see your name and language", ""}, {"do all this while you are away, until you take it back", ""}},
			Action: "/device/decision", Ticket: "T",
		})
	},
	"approvals": func(w http.ResponseWriter, r *http.Request) error {
		return approvalsPage.Write(w, r, 200, approvalsView{
			Account: nav, Notice: site.Text(r, "approvals.allowed"), Action: "/account/approvals", Waiting: []approval{
				{"Bank", "Pay 12.50 to Shop, code W4SCT", []ask{{"know who you are", ""}}, "less than a minute ago", "T", true},
				{"Call centre", "", []ask{{"know who you are", ""}, {"see your email address", ""}}, "3 minutes ago", "T", false},
			},
		})
	},
	"approvals_none": func(w http.ResponseWriter, r *http.Request) error {
		return approvalsPage.Write(w, r, 200, approvalsView{Account: nav, Again: "/account/approvals"})
	},
	"approvals_sign_in": func(w http.ResponseWriter, r *http.Request) error {
		return approvalsPage.Write(w, r, 200, approvalsView{Account: nav, Again: "/account/approvals", SignIn: "/account/approvals/sign-in"})
	},
	"question": func(w http.ResponseWriter, r *http.Request) error {
		return questionPage.Write(w, r, 200, questionView{
			Application: "Invoice Robot", Initials: "IR", Unverified: true, Document: "https://robot.example.com/client.json",
			Items: []consent.Item{
				{Name: "openid", Text: "Know that it is you who signs in", Language: "en"},
				{Name: "invoices:write", Text: "Write and send invoices in your name", Language: "en", Sensitive: true},
				{Text: "Make this payment", Language: "en", Lines: []resource.Line{{Label: "Amount", Value: "12.50 EUR"}, {Label: "To", Value: "A Shop with a Rather Long Name GmbH & Co. KG"}}},
			},
			Choices: []consent.Item{
				{Name: "email", Text: "See your email address", Language: "en", Optional: true},
				{Name: "offline_access", Text: "Keep this access while you are signed out, until you take it back", Language: "en", Optional: true, Sensitive: true},
			},
			APIs: "Invoices, Payments", Target: "robot.example.com", Policy: "https://robot.example.com/privacy", Terms: "https://robot.example.com/terms",
			Person: ada, Action: "/consent", Question: "Q",
		})
	},
	"question_small": func(w http.ResponseWriter, r *http.Request) error {
		return questionPage.Write(w, r, 200, questionView{
			Application: "Wiki", Initials: "W", Items: []consent.Item{{Name: "openid", Text: "Erkennen, dass Sie es sind, der sich anmeldet", Language: "de"}},
			Target: "wiki.example.com", Person: ada, Action: "/consent", Question: "Q",
		})
	},
	"connected": func(w http.ResponseWriter, r *http.Request) error {
		return connectedPage.Write(w, r, 200, connectedView{
			Account: nav, Notice: site.Text(r, "connected.revoked"), Action: "/account/applications", Connections: []connection{
				{"app_1", "Invoice Robot", "IR", []ask{{"Know that it is you who signs in", ""}, {"Write and send invoices in your name", ""}}, "3 March 2026", "3 March 2027"},
				{"app_2", "Wiki", "W", []ask{{"Know that it is you who signs in", ""}}, "28 November 2026", ""},
			},
		})
	},
	"connected_none": func(w http.ResponseWriter, r *http.Request) error {
		return connectedPage.Write(w, r, 200, connectedView{Account: nav})
	},
	"message": func(w http.ResponseWriter, r *http.Request) error {
		return messagePage.Write(w, r, 200, messageView{site.Text(r, "device.allowed.title"), site.Text(r, "device.allowed.detail"), "/", "Go to the start page"})
	},
}

// Nothing inline, no script, one h1, a label for every input that is seen: on every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	pagetest.Each(t, examples, func(name, body string) {
		if strings.Contains(body, "<script") {
			t.Errorf("%s: a script", name)
		}
	})
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	composed := []string{"scope.", "device.allowed.", "device.denied.", "question.gone.", "question.other."}
	pagetest.EveryTextIsUsed(t, english, func(key, _ string) bool {
		return slices.ContainsFunc(composed, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
	}, userCodePage.Keys(), devicePage.Keys(), approvalsPage.Keys(), questionPage.Keys(), connectedPage.Keys(), messagePage.Keys())
}

func TestNavigationAndHeadingsUseTheSameWords(t *testing.T) {
	t.Parallel()
	for _, tag := range language.All {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", string(tag))
		for link, heading := range map[string]string{"account.applications": "connected.title", "account.approvals": "approvals.title"} {
			if a, b := site.Text(r, link), site.Text(r, heading); a != b {
				t.Errorf("%s: %q leads to %q", tag, a, b)
			}
		}
	}
}
