package portal

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// A Naming is how a person gives something of theirs another name.
type Naming struct {
	Path   string // within the tenant: asks by GET, and does it by POST
	Called string // what it is known by now
	Name   string // the name that it has; may be empty
	Hint   string // what a name is for
	Done   string // what the page of security then confirms; see Visitor.Done

	Rename func(tx *fsm.Tx, name string) error // reports identity.ErrInvalid for a name that is none
}

type namingView struct {
	Account              page.Navigation
	Alert                page.Alert
	Called, Action, Back string
	Name                 page.Field
}

// AskName shows the page of what the request names, which of finds.
func AskName(of func(r *http.Request, v *Visitor) (Naming, error)) func(http.ResponseWriter, *http.Request, *Visitor) error {
	return func(w http.ResponseWriter, r *http.Request, v *Visitor) error {
		n, err := of(r, v)
		if err != nil {
			return err
		}
		return n.write(w, r, v, http.StatusOK, false)
	}
}

// TakeName takes the form of that page, or asks again.
func TakeName(of func(r *http.Request, v *Visitor) (Naming, error)) func(http.ResponseWriter, *http.Request, *Visitor) error {
	return func(w http.ResponseWriter, r *http.Request, v *Visitor) error {
		n, err := of(r, v)
		if err != nil {
			return err
		}
		return n.take(w, r, v)
	}
}

func (n Naming) write(w http.ResponseWriter, r *http.Request, v *Visitor, status int, fault bool) error {
	view := namingView{
		Account: v.Account(r, "security"), Called: n.Called, Action: page.Base(r) + n.Path, Back: page.Base(r) + securityPath,
		Name: page.Field{Name: "name", Label: site.Text(r, "naming.name"), Hint: n.Hint, Value: n.Name, Autocomplete: "off"},
	}
	if fault {
		view.Alert.Text, view.Name.Error = site.Text(r, "form.check"), n.Hint
	}
	return namingPage.Write(w, r, status, view)
}

func (n Naming) take(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error { return n.Rename(tx, f.Get("name")) })
	if errors.Is(err, identity.ErrInvalid) {
		return n.write(w, r, v, http.StatusUnprocessableEntity, true)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+n.Done)
}
