package factor

import (
	"net/http"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/spare"
)

var (
	ada = &portal.Visitor{
		Session: &session.Session{ID: "ses_1", UserID: "usr_1"},
		User:    &directory.User{ID: "usr_1", Username: "ada", Name: "Ada Lovelace", Email: "ada@example.com"},
	}
	enrolment = &totp.Enrolment{
		Token: "T", Secret: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP", URI: "otpauth://totp/Example:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
		QR: totp.Drawing{Size: 29, Path: "M4 4h7v1h-7zM12 4h1v1h-1zM18 4h7v1h-7zM4 10h7v1h-7zM9 14h6v3h-6zM18 10h7v1h-7zM4 18h7v7h-7z"}, Expires: time.Now(),
	}
	phone = &totp.App{ID: "otp_1", Name: "Pixel with a name that somebody has made rather long, for whatever reason"}
)

func needed(r *http.Request) portal.Stay {
	return portal.Stays(r, spare.Verdict{Why: spare.OnlyFactor, First: spare.Passkey})
}

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"new_app": func(w http.ResponseWriter, r *http.Request) error {
		return (&apps{}).show(w, r, ada, 200, enrolment, "", nil)
	},
	"new_app_wrong": func(w http.ResponseWriter, r *http.Request) error {
		return (&apps{}).show(w, r, ada, 422, enrolment, "Phone", []*identity.Error{{Field: "code"}})
	},
	"app": func(w http.ResponseWriter, r *http.Request) error {
		return (&apps{}).write(w, r, ada, 200, phone, portal.Stay{}, nil)
	},
	"app_needed": func(w http.ResponseWriter, r *http.Request) error {
		return (&apps{}).write(w, r, ada, 422, phone, needed(r), []*identity.Error{{Detail: needed(r).Why}})
	},
	"codes_removal": func(w http.ResponseWriter, r *http.Request) error {
		return removal(r).Write(w, r, ada, 200, portal.Stay{})
	},
	"codes_needed": func(w http.ResponseWriter, r *http.Request) error {
		return removal(r).Write(w, r, ada, 422, needed(r))
	},
	"codes_first": func(w http.ResponseWriter, r *http.Request) error {
		view := (&codes{}).view(r, ada)
		view.Notice = site.Text(r, "apps.added")
		return codesPage.Write(w, r, 200, view)
	},
	"codes_again": func(w http.ResponseWriter, r *http.Request) error {
		view := (&codes{}).view(r, ada)
		view.Has = true
		return codesPage.Write(w, r, 200, view)
	},
	"codes": func(w http.ResponseWriter, r *http.Request) error {
		view := (&codes{}).view(r, ada)
		view.Host, view.Codes = host(r), []string{
			"k7qm-2x9d-p4rt", "0v3e-8wzn-51ch", "m9gt-66ya-jkd2", "q2sb-f0x7-n8vw", "4hzr-c3mp-e1t5",
			"9ydk-w7j4-2gxq", "b6n0-t8va-5sfe", "z1cp-3qkh-r9mw", "x4gj-7d2y-0btn", "e8wv-5az6-hs3k",
		}
		view.Download = file("Recovery codes", view.Codes)
		return codesPage.Write(w, r, 200, view)
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
	pagetest.EveryTextIsUsed(t, english, func(string, string) bool { return false }, newAppPage.Keys(), appPage.Keys(), codesPage.Keys())
}

func TestTranslations(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}
