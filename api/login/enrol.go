package login

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity/authn"
)

// showEnrol tells somebody who has just signed in that they should set up a second factor. If
// they have to, what they came for refuses them until they did.
func showEnrol(w http.ResponseWriter, r *http.Request, onward string, e *authn.Enrolment) error {
	return enrolPage.Write(w, r, http.StatusOK, enrolView{
		Setup: page.Base(r) + "/account/security", Continue: onward, Optional: e.Optional, Left: max(e.Left, 0), Bound: e.Bound,
	})
}

// enrol is the same page for somebody whom an application has sent here: they are signed in,
// and may not go on without a second factor.
func (l *Login) enrol(w http.ResponseWriter, r *http.Request) error {
	to := r.URL.Query().Get("then")
	if !authn.LocalPath(to) {
		to = page.Base(r) + "/"
	}
	return showEnrol(w, r, to, &authn.Enrolment{Bound: r.URL.Query().Get("kind") == "bound"})
}
