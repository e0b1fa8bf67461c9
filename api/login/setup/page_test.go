package setup

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/identity"
)

// examples are all pages, as people see them.
var examples = map[string]func(w http.ResponseWriter, r *http.Request) error{
	"setup": func(w http.ResponseWriter, r *http.Request) error {
		return writeSetup(w, followed(r), 200, true, 15, newcomer{}, nil)
	},
	"setup_another": func(w http.ResponseWriter, r *http.Request) error {
		return writeSetup(w, followed(r), 200, false, 15, newcomer{}, nil)
	},
	"setup_wrong": func(w http.ResponseWriter, r *http.Request) error {
		who := newcomer{username: "ada", email: "ada", name: "Ada", password: "a", repeat: "b"}
		return writeSetup(w, followed(r), 422, true, 15, who, identity.Errors(errors.Join(who.differ(r), identity.Invalid("email", "This is not an email address."))))
	},
	"setup_dead": func(w http.ResponseWriter, r *http.Request) error { return setupFault(w, followed(r), errDeadLink) },
}

// followed is r as whoever follows a link sends it.
func followed(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.URL.Path = "/setup/TOKEN"
	return r
}

// Nothing inline, one h1, a label for every input that is seen: on every page. And they are as they were.
func TestGolden(t *testing.T) {
	t.Parallel()
	pagetest.Each(t, examples, func(name, body string) { pagetest.Golden(t, name, body) })
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

// Texts that no page and no code names would be translated for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(key, code string) bool {
		field, ok := strings.CutPrefix(key, "setup.")
		return ok && strings.Contains(code, `field("`+field+`"`)
	}, setupPage.Keys())
}
