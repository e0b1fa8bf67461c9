package portal

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

var (
	nav = page.Navigation{At: "security", Name: "Ada Lovelace", Login: "ada@example.com"}
	ada = &Visitor{
		Session: &session.Session{ID: "ses_1", UserID: "usr_1"}, revision: 7,
		User: &directory.User{ID: "usr_1", Username: "ada", Name: "Ada Lovelace", Email: "ada@example.com", Locale: "tlh"},
	}
)

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"profile": func(w http.ResponseWriter, r *http.Request) error {
		return (&Portal{}).writeProfile(w, r, ada, 422, ada.User, []*identity.Error{{Field: "name", Detail: "is too long"}})
	},
	"security": func(w http.ResponseWriter, r *http.Request) error {
		return securityPage.Write(w, r, 200, securityView{Account: nav, Cards: []Card{
			{Title: "Password", Lead: site.Text(r, "password.lead"), Notice: site.Text(r, "password.changed"), Rows: []Row{
				{Name: "Password", Facts: []string{"Set on 3 March 2026"}, Actions: []Action{{Label: "Change password", Path: "/account/security/password"}}},
			}},
			{Title: "Passkeys", Lead: "What your devices sign you in with.", Actions: []Action{{Label: "Add a passkey", Path: "/account/security/passkeys/new", Main: true}}, Rows: []Row{
				{Name: "A phone with a name that somebody has made rather long", Mark: "synced", Facts: []string{"Added on 3 March 2026", "Last used yesterday"}, Actions: []Action{
					{Label: "Rename", Names: "Rename the phone", Path: "/account/security/passkeys/1"}, {Label: "Remove", Names: "Remove the phone", Path: "/x", Post: true, Form: map[string]string{"id": "1"}},
				}},
			}},
		}})
	},
	"naming": func(w http.ResponseWriter, r *http.Request) error {
		return Naming{Path: "/account/security/devices/dev_1", Called: "Firefox on Linux", Name: "Firefox on Linux", Hint: "For you to know it by."}.write(w, r, ada, 422, true)
	},
	"unreached": func(w http.ResponseWriter, r *http.Request) error {
		return securityPage.Write(w, r, 200, securityView{Account: nav, Cards: []Card{
			{Title: site.Text(r, "reach.unproved"), Lead: site.Text(r, "reach.recovery"), Actions: []Action{{Label: site.Text(r, "profile.confirm_email"), Path: "/account/email", Main: true}}},
			{Title: "Password", Lead: site.Text(r, "password.lead")},
		}})
	},
	"acting": func(w http.ResponseWriter, r *http.Request) error {
		acting := nav
		acting.Acting = true
		return securityPage.Write(w, r, 200, securityView{Account: acting, Cards: []Card{{Title: "Password", Lead: site.Text(r, "password.lead")}}})
	},
	"password": func(w http.ResponseWriter, r *http.Request) error {
		return writePassword(w, r, ada, true, 422, 15, []*identity.Error{{Field: "current", Detail: site.Text(r, "password.wrong")}})
	},
	"password_first": func(w http.ResponseWriter, r *http.Request) error {
		return writePassword(w, r, ada, false, 200, 15, nil)
	},
	"password_removal": func(w http.ResponseWriter, r *http.Request) error {
		m := removal(r, ada)
		a := settings.Default(identity.DefaultTenant)
		m.Loss = lossOf(r, spare.Left{Passkeys: 1, Alone: 1, Verified: 1}, &a, true)
		return m.Write(w, r, ada, 200, Stay{})
	},
	"password_needed": func(w http.ResponseWriter, r *http.Request) error {
		return removal(r, ada).Write(w, r, ada, 422, stays(r, spare.Verdict{Why: spare.OnlyWay, First: spare.Passkey}, keeps))
	},
	"activity": func(w http.ResponseWriter, r *http.Request) error {
		return activityList.Write(w, r, 200, activityView{Account: nav, Older: "/x", Rows: []Row{
			{Name: "You signed in", Mark: site.Text(r, "sessions.this"), Facts: []string{"28 November 2026, 21:34 UTC from 203.0.113.7, your current network", "Firefox on Linux"}, Actions: []Action{{Label: "This wasn't me", Path: "/x", Post: true}}},
			{Name: "Your password was set", Mark: site.Text(r, "activity.administrator"), Facts: []string{"27 November 2026, 09:12 UTC"}},
		}})
	},
	"activity_none": func(w http.ResponseWriter, r *http.Request) error {
		return activityList.Write(w, r, 200, activityView{Account: nav})
	},
	"tokens": func(w http.ResponseWriter, r *http.Request) error {
		return tokensPage.Write(w, r, 200, tokensView{Account: nav, New: "/x", Rows: []Row{
			{Name: "backup of the house", Facts: []string{"See and change your own account", "Made on 3 March 2026, good until 3 June 2026", "Last used: 3 hours ago"}, Actions: []Action{{Label: "Revoke", Names: "Revoke the token backup", Path: "/x", Post: true}}},
		}})
	},
	"new_token": func(w http.ResponseWriter, r *http.Request) error {
		admin, u := *ada, *ada.User
		u.Admin, admin.User = true, &u
		return (&Portal{}).writeNewToken(w, r, &admin, 422, "", []*identity.Error{{Field: "name", Detail: "Give the token a name."}})
	},
	"made_token": func(w http.ResponseWriter, r *http.Request) error {
		return madeTokenPage.Write(w, r, 200, madeTokenView{nav, "backup", "quis_pat_" + strings.Repeat("x", 43), "3 June 2026", "/x"})
	},
	"apps": func(w http.ResponseWriter, r *http.Request) error {
		return appsPage.Write(w, r, 200, appsView{Account: nav, Asked: true, Groups: []tiles{
			{"Knowledge", []tile{{"Wiki", "W", "Where things are written down", "https://wiki.example.com"}, {"Archive of everything that was ever decided", "AO", "", "https://archive.example.com"}}},
			{"", []tile{{"Chat", "C", "", "https://chat.example.com"}}},
		}})
	},
	"apps_none": func(w http.ResponseWriter, r *http.Request) error {
		return appsPage.Write(w, r, 200, appsView{Account: nav})
	},
	"sessions": func(w http.ResponseWriter, r *http.Request) error {
		return sessionsPage.Write(w, r, 200, sessionsView{
			Account: nav, Notice: site.Text(r, "sessions.ended"), Actions: []Action{{Label: site.Text(r, "sessions.end_others"), Path: "/x", Post: true}}, Rows: []Row{
				{Name: "Firefox on Linux", Mark: site.Text(r, "sessions.this"), Facts: []string{"Last used just now", "Signed in 28 November 2026, 21:34 UTC from 203.0.113.7, your current network"}, Actions: []Action{{Label: "Sign out", Path: "/logout"}}},
				{Name: "Safari on iPhone", Facts: []string{"Last used yesterday", "Signed in 27 November 2026, 09:12 UTC from 2001:db8:4f2e:99a1:1c2d:3e4f:5a6b:7c8d"}, Actions: []Action{{Label: "Sign out there", Names: "Sign out on Safari on iPhone", Path: "/x", Post: true}}},
			},
		})
	},
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
		return strings.HasPrefix(key, "event.") || strings.HasPrefix(key, "field.") || strings.HasPrefix(key, "tokens.scope.")
	},
		profilePage.Keys(), securityPage.Keys(), passwordPage.Keys(), namingPage.Keys(), removalPage.Keys(), sessionsPage.Keys(), activityList.Keys(), tokensPage.Keys(), newTokenPage.Keys(), madeTokenPage.Keys(), appsPage.Keys())
}

// What a person says of a sign-in that was not theirs is called the same here and in letters.
func TestDisowningHasOneName(t *testing.T) {
	t.Parallel()
	for _, tag := range language.All {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", string(tag))
		name := letter.Catalogue[string(tag)]["alarm.button"]
		for _, text := range []string{site.Text(r, "activity.not_me"), site.Text(r, "activity.not_me.label", "", "")} {
			if name == "" || !strings.HasPrefix(text, name) {
				t.Errorf("%s: %q, and in letters %q", tag, text, name)
			}
		}
	}
}

func TestNavigationAndHeadingsUseTheSameWords(t *testing.T) {
	t.Parallel()
	for _, tag := range language.All {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", string(tag))
		for link, heading := range map[string]string{"account.profile": "profile.title", "account.security": "security.title", "account.sessions": "sessions.title", "account.activity": "activity.title", "account.tokens": "tokens.title", "account.apps": "apps.title"} {
			if a, b := site.Text(r, link), site.Text(r, heading); a != b {
				t.Errorf("%s: %q leads to %q", tag, a, b)
			}
		}
	}
}
