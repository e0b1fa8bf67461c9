package login

import (
	"maps"
	"net/http"
	"slices"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation/oidc"
)

// Post shows the form that takes an authorization response to an application. It is the
// oidc room's PostPage.
func Post(w http.ResponseWriter, r *http.Request, form oidc.PostedForm) {
	view := postingView{Application: form.Application, Action: form.Action}
	for _, name := range slices.Sorted(maps.Keys(form.Fields)) {
		view.Fields = append(view.Fields, postedField{name, form.Fields.Get(name)})
	}
	if err := postingPage.WritePosting(w, r, http.StatusOK, view, form.Source); err != nil {
		page.Fail(w, r, err)
	}
}
