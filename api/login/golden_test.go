package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation/oidc"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
)

func get(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	ctx := identity.WithTenant(r.Context(), identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"})
	return r.WithContext(identity.WithRequest(ctx, identity.Request{ID: "req_01k9s3f7m2q8z5x1w4v6t0b3nd"}))
}

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter) error{
	"home":           func(w http.ResponseWriter) error { return homePage.Write(w, get("/"), 200, homeView{}) },
	"home_signed_in": func(w http.ResponseWriter) error { return homePage.Write(w, get("/"), 200, homeView{Person: &ada}) },
	"sign_in": func(w http.ResponseWriter) error {
		return signInPage.Write(w, get("/login"), 200, signInView{
			Purpose: "to continue to Web", Action: "/login", Flow: "FLOW",
			Username:  page.Field{Name: "username", Label: "Username or email", Autocomplete: "username", Focus: true},
			Password:  page.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Later: true},
			Forgotten: "/recover?flow=FLOW", Stay: "30 days",
		})
	},
	"sign_in_refused": func(w http.ResponseWriter) error {
		return signInPage.Write(w, get("/login"), 401, signInView{
			Action: "/login", Flow: "FLOW", Alert: &page.Alert{Text: site.Text(get("/"), "sign_in.wrong"), AtField: true},
			Username: page.Field{Name: "username", Label: "Username or email", Value: "ada", Describes: "alert"},
			Password: page.Field{Name: "password", Label: "Password", Type: "password", Focus: true, Describes: "alert"},
		})
	},
	"sign_in_ways": func(w http.ResponseWriter) error {
		return signInPage.Write(w, get("/login"), 200, signInView{
			Purpose: "to continue to Web", Action: "/login", Flow: "FLOW", Passkey: passkeyView{"/login/passkey", "FLOW", `{"challenge":"AAAA"}`, true, false},
			Username: page.Field{Name: "username", Label: "Username or email", Autocomplete: "username webauthn", Focus: true},
			Password: page.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Later: true},
			Mail:     "/login/mail", Forgotten: "/recover?flow=FLOW", Register: "/register?flow=FLOW", Stay: "30 days", Staying: true, Certificate: "https://id.example.com:8443/login/certificate?flow=FLOW",
		})
	},
	"sign_in_again": func(w http.ResponseWriter) error {
		return signInPage.Write(w, get("/login"), 200, signInView{
			Action: "/login", Flow: "FLOW", Passkey: passkeyView{"/login/passkey", "FLOW", `{"challenge":"AAAA"}`, true, true}, Last: "passkey",
			Username: page.Field{Name: "username", Label: "Username or email", Value: "ada", Autocomplete: "username webauthn"},
			Password: page.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Focus: true},
			Accounts: "/login?accounts=yes&flow=FLOW",
		})
	},
	"second": func(w http.ResponseWriter) error {
		return secondPage.Write(w, get("/login"), 200, secondView{
			Purpose: "to continue to Web", Action: "/login/second", Flow: "FLOW", Way: "totp", Who: "You are signing in as ada.", Lead: "Enter the code.", Typed: true, Trust: "30 days",
			Code:   page.Field{Name: "code", Label: "Code from the app", Autocomplete: "one-time-code", Numeric: true, Focus: true},
			Others: []link{{"Use a recovery code", "/login?flow=FLOW&way=recovery"}}, Restart: "/login?flow=FLOW&again=yes", Lost: "/login/lost",
		})
	},
	"second_password": func(w http.ResponseWriter) error {
		return secondPage.Write(w, get("/login"), 400, secondView{
			Action: "/login/second", Flow: "FLOW", Way: "password", Who: "You are signing in as ada.", Lead: "Enter your password.", Forgotten: true, Typed: true,
			Code: typed(get("/login"), assurance.Password), Restart: "/login?flow=FLOW&again=yes",
		})
	},
	"second_passkey": func(w http.ResponseWriter) error {
		return secondPage.Write(w, get("/login"), 200, secondView{
			Action: "/login/second", Flow: "FLOW", Way: "passkey", Who: "You are signing in as ada.", Lead: "Use your passkey or security key.",
			Passkey: &passkeyView{"/login/passkey", "FLOW", `{"challenge":"AAAA"}`, false, false}, Restart: "/login?flow=FLOW&again=yes", Ask: true,
		})
	},
	"approval_ask": func(w http.ResponseWriter) error {
		return approvalPage.Write(w, get("/login"), 200, approvalView{
			Purpose: "to continue to Web", Who: "You are signing in as ada.", Ask: "/login/ask", Action: "/login/second", Poll: "/login/asked", Flow: "FLOW",
			Others: []link{{"Use your authenticator app", "/login?flow=FLOW&way=totp"}}, Restart: "/login?flow=FLOW&again=yes",
		})
	},
	"approval_number": func(w http.ResponseWriter) error {
		return approvalPage.Write(w, get("/login"), 200, approvalView{
			Number: "42", Ask: "/login/ask", Action: "/login/second", Poll: "/login/asked", Flow: "FLOW", Restart: "/login?flow=FLOW&again=yes",
		})
	},
	"approval_refused": func(w http.ResponseWriter) error {
		return approvalPage.Write(w, get("/login"), 400, approvalView{
			Alert: page.Alert{Text: site.Text(get("/"), "approval.refused")}, Ask: "/login/ask", Flow: "FLOW", Restart: "/login?flow=FLOW&again=yes",
		})
	},
	"approval_ready": func(w http.ResponseWriter) error {
		return approvalPage.Write(w, get("/login"), 200, approvalView{Ready: true, Action: "/login/second", Flow: "FLOW", Restart: "/login?flow=FLOW&again=yes"})
	},
	"second_certificate": func(w http.ResponseWriter) error {
		return secondPage.Write(w, get("/login"), 200, secondView{
			Action: "/login/second", Flow: "FLOW", Way: "certificate", Who: "You are signing in as ada.", Lead: "Use your certificate.",
			Certificate: "https://id.example.com:8443/login/certificate?flow=FLOW", Restart: "/login?flow=FLOW&again=yes",
		})
	},
	"certificate": func(w http.ResponseWriter) error {
		return certificatePage.Write(w, get("/login"), 200, certificateView{"to continue to Web", "/login/certificate", "FLOW", "CN=Ada Lovelace,O=Example", "/login?flow=FLOW&again=yes"})
	},
	"certificate_refused": func(w http.ResponseWriter) error {
		return (&Login{}).noCertificate(w, get("/login/certificate"), 403, "certificate.refused", "https://id.example.com/login?flow=FLOW")
	},
	"mail": func(w http.ResponseWriter) error {
		return mailPage.Write(w, get("/login"), 401, mailView{
			Action: "/login/code", Flow: "FLOW", Login: "ada", Alert: page.Alert{Text: "That code is not right.", AtField: true},
			Code:  page.Field{Name: "code", Label: "Code from the email", Autocomplete: "one-time-code", Numeric: true, Focus: true, Describes: "alert"},
			Again: "/login/mail", Restart: "/login?flow=FLOW&again=yes",
		})
	},
	"mail_link": func(w http.ResponseWriter) error {
		return mailPage.Write(w, get("/login"), 200, mailView{Action: "/login/code", Flow: "FLOW", Token: "TOKEN", Login: "ada", Again: "/login/mail", Restart: "/"})
	},
	"mail_link_alone": func(w http.ResponseWriter) error {
		return mailPage.Write(w, get("/login"), 200, mailView{Action: "/login/code", Flow: "FLOW", Login: "ada", Again: "/login/mail", Restart: "/login?flow=FLOW&again=yes"})
	},
	"mail_closed": func(w http.ResponseWriter) error {
		return mailPage.Write(w, get("/login"), 200, mailView{Flow: "FLOW", Login: "ada", Closed: true, Restart: "/login?flow=FLOW&again=yes"})
	},
	"recover": func(w http.ResponseWriter) error {
		return recoverPage.Write(w, get("/recover"), 200, recoverView{"/login/mail", "FLOW", page.Field{Name: "username", Label: "Username or email"}, "/login?flow=FLOW", timed{"in4", false}})
	},
	"lost": func(w http.ResponseWriter) error {
		return lostPage.Write(w, get("/login"), 200, lostView{"/login/regain", "FLOW", "", "", "24 hours", "/login?flow=FLOW&again=yes"})
	},
	"lost_delayed": func(w http.ResponseWriter) error {
		return lostPage.Write(w, get("/login"), 200, lostView{"/login/regain", "FLOW", "", "delayed", "3 hours", "/login?flow=FLOW&again=yes"})
	},
	"lost_open": func(w http.ResponseWriter) error {
		return lostPage.Write(w, get("/login"), 200, lostView{"/login/regain", "FLOW", "RECOVERY", "open", "", "/login?flow=FLOW&again=yes"})
	},
	"link": func(w http.ResponseWriter) error {
		return linkPage.Write(w, get("/regain/SECRET"), 200, linkView{Action: "/regain/SECRET"})
	},
	"link_first": func(w http.ResponseWriter) error {
		return linkPage.Write(w, get("/regain/SECRET"), 200, linkView{"/regain/SECRET", "ada"})
	},
	"link_gone": func(w http.ResponseWriter) error { return linkFault(w, get("/regain/SECRET"), fsm.ErrNotFound) },
	"renew": func(w http.ResponseWriter) error {
		return renewPage.Write(w, get("/login"), 200, renewView{"/login/renew", "FLOW", "recover", "ada", page.Field{Name: "password", Label: "New password", Type: "password", Hint: site.Text(get("/"), "password.hint", 15)}, timed{"in0", true}})
	},
	"enrol": func(w http.ResponseWriter) error {
		return (&Login{}).showEnrol(w, get("/login"), &authn.Flow{Need: authn.Need{Application: "Web"}}, "/oauth2/authorize?a=b", &authn.Enrolment{Optional: true, Left: 2, Organization: true})
	},
	"enrol_bound": func(w http.ResponseWriter) error {
		return (&Login{}).showEnrol(w, get("/login"), &authn.Flow{Login: "ada", Need: authn.Need{Application: "Web"}}, "/", &authn.Enrolment{Bound: true})
	},
	"enrol_must": func(w http.ResponseWriter) error {
		return (&Login{}).showEnrol(w, get("/login"), &authn.Flow{}, "/", &authn.Enrolment{Organization: true})
	},
	"leaving": func(w http.ResponseWriter) error {
		return leavingPage.Write(w, get("/login"), 200, leavingView{"Web", "/oauth2/authorize?a=b&c=d"})
	},
	"posting": func(w http.ResponseWriter) error {
		Post(w, get("/oauth2/authorize"), oidc.PostedForm{
			Application: "Web", Action: "https://app.example.com/cb?a=b&c", Source: "https://app.example.com",
			Fields: url.Values{"code": {"CODE"}, "state": {`"><b>`}},
		})
		return nil
	},
	"account": func(w http.ResponseWriter) error {
		return accountPage.Write(w, get("/login"), 200, accountView{
			Application: "Web", Person: &ada, Action: "/login/continue", Flow: "FLOW", Forget: "/login/forget", Another: "/login?another=yes&flow=FLOW",
			Others: []accountLine{{person{"Grace Hopper", "grace@example.com"}, "KEY", "/login?as=KEY&flow=FLOW"}},
		})
	},
	"accounts": func(w http.ResponseWriter) error {
		return accountPage.Write(w, get("/login"), 200, accountView{Flow: "FLOW", Forget: "/login/forget", Another: "/login?another=yes&flow=FLOW",
			Others: []accountLine{{ada, "ONE", "/login?as=ONE&flow=FLOW"}, {person{"grace", "grace"}, "TWO", "/login?as=TWO&flow=FLOW"}},
		})
	},
	"crowd": func(w http.ResponseWriter) error {
		return waitPage.Write(w, get("/login"), 503, held(get("/login"), "crowd.detail"), "FLOW", "")
	},
	"wait": func(w http.ResponseWriter) error {
		return waitPage.Write(w, get("/login"), 429, held(get("/login"), "wait.detail", page.Gap), "FLOW", "2 minutes")
	},
	"sign_out": func(w http.ResponseWriter) error {
		return signOutPage.Write(w, get("/logout"), 200, signOutView{nil, ada, "/logout", "/", ""})
	},
	"signed_out": func(w http.ResponseWriter) error { return signedOut(w, get("/logout"), "signed_out.detail", "", nil) },
	"signed_out_frames": func(w http.ResponseWriter) error {
		SignedOut(w, get("/oauth2/logout"), []string{"https://web.example.com/out?iss=i&sid=s", "https://evil.example.com;script-src/"}, "https://web.example.com/bye")
		return nil
	},
	"denied": func(w http.ResponseWriter) error {
		Denied(w, get("/oauth2/authorize"), "Web", "com.example.app:/cb?error=access_denied")
		return nil
	},
	"home_acting": func(w http.ResponseWriter) error {
		return homePage.Write(w, get("/"), 200, homeView{Person: &ada, Acting: true})
	},
	"impersonate": func(w http.ResponseWriter) error {
		return impersonatePage.Write(w, get("/impersonate/TICKET"), 200, impersonateView{ada, person{"Root", "root@example.com"}, "ticket 4711 <b>", "30 minutes", "/impersonate/TICKET", "/"})
	},
	"refused": func(w http.ResponseWriter) error {
		return refused(w, get("/login"), identity.Denied("This needs a way to sign in that cannot be set up here. An administrator can help."))
	},
	"error": func(w http.ResponseWriter) error {
		page.Error(w, get("/x"), 500, "", "")
		return nil
	},
}

var ada = person{"Ada Lovelace", "ada@example.com"}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, write := range examples {
		w := httptest.NewRecorder()
		if err := write(w); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		pagetest.Golden(t, name, w.Body.String())
	}
}

// Nothing inline, no script but an asset, one h1, and a label for every input: on every page.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	for name, write := range examples {
		w := httptest.NewRecorder()
		if err := write(w); err != nil {
			t.Fatal(err)
		}
		pagetest.Check(t, name, w.Body.String())
	}
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(key, _ string) bool {
		prefix, field, _ := strings.Cut(key, ".")
		// Those are named by method.
		return prefix == "second" && (strings.HasSuffix(field, ".lead") || strings.HasSuffix(field, ".code") || strings.HasSuffix(field, ".wrong") || strings.HasSuffix(field, ".choose"))
	}, homePage.Keys(), signInPage.Keys(), secondPage.Keys(), certificatePage.Keys(), approvalPage.Keys(), mailPage.Keys(), recoverPage.Keys(), renewPage.Keys(), enrolPage.Keys(), leavingPage.Keys(), messagePage.Keys(), heldPage.Keys(), postingPage.Keys(), accountPage.Keys(), signOutPage.Keys(), signedOutPage.Keys(), impersonatePage.Keys(), lostPage.Keys(), linkPage.Keys())
}
