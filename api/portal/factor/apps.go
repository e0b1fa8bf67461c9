package factor

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

const (
	appsPath = securityPath + "/apps"
	newApp   = appsPath + "/new"
)

// apps is the section of authenticator apps.
type apps struct{ Config }

// newAppView shows a new secret and asks for its first code.
type newAppView struct {
	Account      page.Navigation
	Alert        page.Alert
	QR           totp.Drawing
	Open         template.URL // for an app on this device
	Secret       string
	Token        string
	Code, Name   page.Field
	Action, Back string
}

// appView is for another name, or the end, of an app.
type appView struct {
	Account              page.Navigation
	Alert                page.Alert
	Called               string
	Name                 page.Field
	Needed               portal.Stay // why it cannot be removed
	Action, Remove, Back string
}

// Card lists the apps.
func (s *apps) Card(tx *fsm.Tx, r *http.Request, v *portal.Visitor) (portal.Card, error) {
	all, err := totp.List(tx, v.Tenant, v.UserID)
	if err != nil {
		return portal.Card{}, err
	}
	a, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return portal.Card{}, err
	}
	open := slices.Contains(a.MFAMethods, settings.MethodTOTP)
	if !open && len(all) == 0 {
		return portal.Card{}, nil
	}
	c := portal.Card{Title: site.Text(r, "apps.title"), Lead: site.Text(r, "apps.lead")}
	switch v.Done {
	case "app":
		c.Notice = site.Text(r, "apps.added")
	case "app-renamed":
		c.Notice = site.Text(r, "apps.renamed")
	case "app-removed":
		c.Notice = site.Text(r, "apps.removed")
	}
	for _, app := range all {
		c.Rows = append(c.Rows, portal.Row{
			Name: app.Name, Facts: []string{site.Text(r, "fact.added", date(r, app.Created)), used(r, tx.Now(), app.LastUsed)},
			Actions: []portal.Action{{Label: site.Text(r, "apps.change"), Names: site.Text(r, "apps.change.label", app.Name), Path: appsPath + "/" + app.ID}},
		})
	}
	if open {
		c.Actions = []portal.Action{{Label: site.Text(r, "apps.add"), Path: newApp, Main: len(all) == 0}}
	}
	return c, nil
}

// Routes mounts the pages of apps.
func (s *apps) Routes(handle, _ portal.Mount) {
	handle("GET "+newApp, s.begin)
	handle("POST "+newApp, s.confirm)
	handle("GET "+appsPath+"/{id}", s.ask)
	handle("POST "+appsPath+"/{id}", s.rename)
	handle("POST "+appsPath+"/{id}/remove", s.remove)
}

// label is what the app will show: the tenant, and the address that people know.
func label(tx *fsm.Tx, u *directory.User) (totp.Label, error) {
	called, err := settings.NameOf(tx, u.Tenant)
	if err != nil {
		return totp.Label{}, err
	}
	l := totp.Label{Issuer: called, Account: u.Email}
	if strings.Trim(l.Issuer, " :") == "" {
		l.Issuer = "quis"
	}
	if l.Account == "" {
		l.Account = u.Username
	}
	return l, nil
}

// open makes sure that the tenant lets people add apps, and that every member of the cluster
// heeds them: else it is an error.
func (s *apps) open(r *http.Request, v *portal.Visitor) error {
	err := s.DB.View(r.Context(), func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, v.Tenant)
		if err == nil && !slices.Contains(a.MFAMethods, settings.MethodTOTP) {
			err = identity.Denied(site.Text(r, "apps.closed"))
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.Use(r.Context())
}

// begin shows a new secret. It writes nothing, except the first time in a cluster: that
// every member heeds second factors.
func (s *apps) begin(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.FreshToSetUp(w, r, newApp); !ok {
		return err
	}
	if err := s.open(r, v); err != nil {
		return err
	}
	var e *totp.Enrolment
	err := s.DB.View(r.Context(), func(tx *fsm.Tx) error {
		l, err := label(tx, v.User)
		if err != nil {
			return err
		}
		e, err = totp.Begin(tx, s.Ring, v.Tenant, v.UserID, l, totp.Parameters{})
		return err
	})
	if err != nil {
		return err
	}
	return s.show(w, r, v, http.StatusOK, e, "", nil)
}

func (s *apps) show(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, e *totp.Enrolment, name string, faults []*identity.Error) error {
	view := newAppView{
		Account: v.Account(r, "security"), QR: e.QR, Open: template.URL(e.URI.Reveal()), Secret: e.Secret.Reveal(), Token: e.Token,
		Code:   page.Field{Name: "code", Label: site.Text(r, "apps.code"), Autocomplete: "one-time-code", Hint: site.Text(r, "apps.code.hint")},
		Name:   page.Field{Name: "name", Label: site.Text(r, "apps.name"), Value: name, Autocomplete: "off", Hint: site.Text(r, "apps.name.hint")},
		Action: page.Base(r) + newApp, Back: page.Base(r) + securityPath,
	}
	for _, fault := range faults {
		view.Alert.Text = site.Text(r, "form.check")
		switch fault.Field {
		case "code":
			view.Code.Error = site.Text(r, "apps.code.wrong")
		case "name":
			view.Name.Error = site.Text(r, "apps.name.hint")
		case "token":
			view.Alert.Text = site.Text(r, "apps.expired")
		default:
			view.Alert.Text = site.Text(r, "apps.many")
		}
	}
	view.Alert.Start(&view.Code, &view.Name)
	return newAppPage.Write(w, r, status, view)
}

// confirm adds the app, once it has shown a code.
func (s *apps) confirm(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.FreshToSetUp(w, r, newApp); !ok {
		return err
	}
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if err := s.open(r, v); err != nil {
		return err
	}
	next := ""
	err = v.UpdateToSetUp(r.Context(), standing(v, func(tx *fsm.Tx, u *directory.User) error {
		app, err := totp.Confirm(tx, s.Ring, v.Tenant, u.ID, f.Get("token"), f.Get("code"), f.Get("name"))
		if err != nil {
			return err
		}
		if app.Created.Equal(tx.Now()) { // else it is a double click: its code is spent, and proves nothing more
			if err := session.Prove(tx, v.Tenant, v.ID, assurance.Factor{Method: assurance.TOTP, Ref: app.ID}); err != nil {
				return err
			}
		}
		set, err := recovery.Get(tx, v.Tenant, u.ID)
		if next = securityPath + "?done=app"; set == nil {
			next = codesPath + "?done=app" // the moment to think of the day on which it is lost
		}
		return err
	}))
	if errors.Is(err, identity.ErrInvalid) {
		return s.again(w, r, v, f.Get("token"), f.Get("name"), err)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+next)
}

// again shows the same secret; one that is no longer good is replaced by a new one.
func (s *apps) again(w http.ResponseWriter, r *http.Request, v *portal.Visitor, token, name string, fault error) error {
	var e *totp.Enrolment
	err := s.DB.View(r.Context(), func(tx *fsm.Tx) error {
		l, err := label(tx, v.User)
		if err != nil {
			return err
		}
		if e, err = totp.Resume(tx, s.Ring, v.Tenant, v.UserID, token, l); errors.Is(err, identity.ErrInvalid) {
			e, err = totp.Begin(tx, s.Ring, v.Tenant, v.UserID, l, totp.Parameters{})
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.show(w, r, v, http.StatusUnprocessableEntity, e, identity.Printable(name, 100), identity.Errors(fault))
}

// find returns the app of the path and why it has to stay, or fsm.ErrNotFound.
func (s *apps) find(r *http.Request, v *portal.Visitor) (app totp.App, needed portal.Stay, err error) {
	err = s.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		all, err := totp.List(tx, v.Tenant, v.UserID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(a totp.App) bool { return a.ID == r.PathValue("id") })
		if i < 0 {
			return fsm.ErrNotFound
		}
		app = all[i]
		needed, err = v.Without(tx, r, lose)
		return err
	})
	return app, needed, err
}

func lose(l *spare.Left) { l.Apps-- }

// ask shows what can be done with an app.
func (s *apps) ask(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	app, needed, err := s.find(r, v)
	if err != nil {
		return err
	}
	return s.write(w, r, v, http.StatusOK, &app, needed, nil)
}

func (s *apps) write(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, app *totp.App, needed portal.Stay, faults []*identity.Error) error {
	at := page.Base(r) + appsPath + "/" + app.ID
	view := appView{
		Account: v.Account(r, "security"), Called: app.Name, Needed: needed, Action: at, Remove: at + "/remove", Back: page.Base(r) + securityPath,
		Name: page.Field{Name: "name", Label: site.Text(r, "apps.name"), Value: app.Name, Autocomplete: "off", Hint: site.Text(r, "apps.name.hint")},
	}
	for _, fault := range faults {
		if view.Alert.Text = page.Detail(r, fault); fault.Field == "name" {
			view.Alert.Text, view.Name.Error = site.Text(r, "form.check"), site.Text(r, "apps.name.hint")
		}
	}
	view.Alert.Start(&view.Name)
	return appPage.Write(w, r, status, view)
}

func (s *apps) rename(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		return totp.Rename(tx, v.Tenant, v.UserID, r.PathValue("id"), f.Get("name"))
	})
	return s.changed(w, r, v, "app-renamed", err)
}

// remove takes an app away, unless it is needed.
func (s *apps) remove(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.Fresh(w, r, appsPath+"/"+r.PathValue("id")); !ok {
		return err
	}
	err := v.UpdateFresh(r.Context(), standing(v, func(tx *fsm.Tx, u *directory.User) error {
		if needed, err := v.Without(tx, r, lose); err != nil || needed.Why != "" {
			return cmp.Or[error](err, identity.Denied(needed.Why))
		}
		return totp.Remove(tx, v.Tenant, u.ID, r.PathValue("id"))
	}))
	return s.changed(w, r, v, "app-removed", err)
}

// changed goes back to the list, or shows the app again with what is in the way.
func (s *apps) changed(w http.ResponseWriter, r *http.Request, v *portal.Visitor, done string, err error) error {
	if errors.Is(err, identity.ErrInvalid) || errors.Is(err, identity.ErrDenied) {
		app, needed, ferr := s.find(r, v)
		if ferr != nil {
			return ferr
		}
		return s.write(w, r, v, http.StatusUnprocessableEntity, &app, needed, identity.Errors(err))
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+done)
}
