package login

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
)

// showEnrol tells the person of f, who has just signed in, that they should set up a second factor, and who asks
// for it. If they have to, what they came for refuses them until they did.
func (l *Login) showEnrol(w http.ResponseWriter, r *http.Request, f *authn.Flow, onward string, e *authn.Enrolment) error {
	who, err := l.who(r, f)
	if err != nil {
		return err
	}
	view := enrolView{
		Purpose: purpose(r, f), Who: who, Organization: e.Organization,
		Setup: page.Base(r) + "/account/security", Continue: onward, Optional: e.Optional, Left: max(e.Left, 0), Bound: e.Bound,
	}
	if e.Optional { // they get there without
		view.Purpose = ""
	}
	return enrolPage.Write(w, r, http.StatusOK, view)
}

// enrol is the same page for somebody whom an application, or their account, has sent here: they are signed in, and
// may not go on without a second factor. The application comes as its ID: a name could be anything.
func (l *Login) enrol(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := &authn.Flow{Need: authn.Need{ReturnTo: q.Get("then")}}
	if !authn.LocalPath(f.Need.ReturnTo) {
		f.Need.ReturnTo = page.Base(r) + "/"
	}
	s, _, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if s != nil {
		f.Session, f.UserID = s.ID, s.UserID
	}
	if f.Need.Application, err = l.application(r, q.Get("application")); err != nil {
		return err
	}
	return l.showEnrol(w, r, f, f.Need.ReturnTo, &authn.Enrolment{Bound: q.Get("kind") == "bound", Organization: f.Need.Application == ""})
}

// application is how the application with this ID is called; "": there is none.
func (l *Login) application(r *http.Request, id string) (name string, err error) {
	if id == "" {
		return "", nil
	}
	err = l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		app, _, err := federation.Get(tx, identity.TenantFrom(r.Context()).ID, id)
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil {
			name = app.DisplayName()
		}
		return err
	})
	return name, err
}
