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
}

type namingView struct {
	Account              page.Navigation
	Alert                page.Alert
	Called, Action, Back string
	Name                 page.Field
}

// Ask shows the page.
func (n Naming) Ask(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	return n.write(w, r, v, http.StatusOK, false)
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

// Do gives the name that was sent by rename, which reports identity.ErrInvalid for one that is
// none, or asks again. done is what the page of security then confirms; see Visitor.Done.
func (n Naming) Do(w http.ResponseWriter, r *http.Request, v *Visitor, done string, rename func(tx *fsm.Tx, name string) error) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error { return rename(tx, f.Get("name")) })
	if errors.Is(err, identity.ErrInvalid) {
		return n.write(w, r, v, http.StatusUnprocessableEntity, true)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+done)
}
