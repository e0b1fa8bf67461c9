package approval

import (
	"context"
	"embed"
	"errors"
	"net/http"
	"slices"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/notify/push"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	securityPath = "/account/security"
	path         = securityPath + "/approvers"
	newPath      = path + "/new"

	followPath = "/account/approvals/subscription" // which the service worker knows as well
)

//go:embed templates texts
var files embed.FS

var (
	site       = page.NewSite(files, english)
	newPage    = page.Page[newView](site, "templates/new.html")
	onePage    = page.Page[oneView](site, "templates/one.html")
	answerPage = page.Page[answerView](site, "templates/answer.html")
)

// Config says what the pages work with.
type Config struct {
	DB     *fsm.DB
	Ring   *seal.Ring
	Cookie string // name of the cookie by which sign-in knows an approving browser; see page.SetCookie
	// Use makes sure that every member of the cluster heeds second factors before there is
	// one; nil: they do.
	Use func(context.Context) error
	// PushKey returns what browsers bind their push subscriptions to; nil: none is told of a
	// sign-in that waits.
	PushKey func(context.Context) ([]byte, error)
	// Check refuses addresses that may not be dialled. It is needed with PushKey.
	Check func(url string) error
}

// Section is the card of the browsers, and all pages.
type Section struct{ cfg Config }

// New returns the section.
func New(cfg Config) *Section {
	if cfg.Use == nil {
		cfg.Use = func(context.Context) error { return nil }
	}
	return &Section{cfg}
}

// Routes mounts the pages.
func (s *Section) Routes(handle, unattended portal.Mount) {
	handle("GET "+newPath, s.ask)
	handle("POST "+newPath, s.allow)
	handle("GET "+path+"/{id}", s.show)
	handle("POST "+path+"/{id}", s.rename)
	handle("POST "+path+"/{id}/remove", s.remove)
	if s.cfg.PushKey != nil {
		handle("POST "+path+"/{id}/tell", s.tell)
		handle("POST "+path+"/{id}/quiet", s.quiet)
	}
	handle("GET "+portal.AnswerPath, s.waiting)
	handle("POST "+portal.AnswerPath, s.answer)
	if s.cfg.PushKey != nil {
		unattended("POST "+followPath, s.follow) // what browsers tell by themselves
	}
}

// Card lists the browsers.
func (s *Section) Card(tx *fsm.Tx, r *http.Request, v *portal.Visitor) (portal.Card, error) {
	all, err := approval.List(tx, v.Tenant, v.UserID)
	if err != nil {
		return portal.Card{}, err
	}
	a, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return portal.Card{}, err
	}
	open := slices.Contains(a.MFAMethods, settings.MethodApproval)
	if !open && len(all) == 0 {
		return portal.Card{}, nil
	}
	c := portal.Card{Title: site.Text(r, "title"), Lead: site.Text(r, "lead")}
	switch v.Done { // a stranger can make a link with any value
	case "approver-allowed", "approver-renamed", "approver-removed", "approver-told", "approver-quiet":
		c.Notice = site.Text(r, "done."+v.Done)
	}
	here := false
	for i := len(all) - 1; i >= 0; i-- { // the latest first
		row, told, err := shown(tx, r, v, &all[i])
		if err != nil {
			return portal.Card{}, err
		}
		if all[i].Session == v.ID {
			here = true
			if open && !told && s.cfg.PushKey != nil {
				c.Actions = []portal.Action{{Label: site.Text(r, "push.start"), Path: path + "/" + all[i].ID + "#push"}}
			}
		}
		c.Rows = append(c.Rows, row)
	}
	if open && !here {
		c.Actions = []portal.Action{{Label: site.Text(r, "add"), Path: newPath}}
	}
	return c, nil
}

// shown is the row of an approver, and whether its browser is told of what waits.
func shown(tx *fsm.Tx, r *http.Request, v *portal.Visitor, a *approval.Approver) (row portal.Row, told bool, err error) {
	tag := page.Language(r)
	row = portal.Row{
		Name: a.Name, Facts: []string{site.Text(r, "added", language.Date(tag, a.Created)), site.Text(r, "never")},
		Actions: []portal.Action{{Label: site.Text(r, "change"), Names: site.Text(r, "about", a.Name), Path: path + "/" + a.ID}},
	}
	if !a.LastUsed.IsZero() {
		row.Facts[1] = site.Text(r, "used", language.Ago(tag, a.LastUsed, tx.Now()))
	}
	if a.Session == v.ID {
		row.Mark = site.Text(r, "this")
	}
	if _, err := session.Get(tx, v.Tenant, a.Session); errors.Is(err, fsm.ErrNotFound) {
		row.Facts = append(row.Facts, site.Text(r, "away"))
		return row, false, nil
	} else if err != nil {
		return row, false, err
	}
	if told, err = push.Subscribed(tx, v.Tenant, v.UserID, a.Session); told {
		row.Facts = append(row.Facts, site.Text(r, "told"))
	}
	return row, told, err
}

// newView asks for the name of this browser, or says why it may not approve.
type newView struct {
	Account      page.Navigation
	Alert        page.Alert
	Name         page.Field
	Action, Back string
}

// ready reports whether the browser of v may be allowed to approve. If not it has answered.
func (s *Section) ready(w http.ResponseWriter, r *http.Request, v *portal.Visitor) (bool, error) {
	if ok, err := v.Fresh(w, r, newPath); !ok {
		return false, err
	}
	var left spare.Left
	err := s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, v.Tenant)
		if err != nil {
			return err
		}
		if !slices.Contains(a.MFAMethods, settings.MethodApproval) {
			return identity.Denied(site.Text(r, "new.closed"))
		}
		left, err = spare.LeftTo(tx, v.User)
		return err
	})
	switch {
	case err != nil:
		return false, err
	case left.Apps+left.Passkeys == 0:
		return false, s.writeNew(w, r, v, http.StatusOK, "new.first")
	case v.Level() < 2:
		return false, v.Raise(w, r, 2, newPath)
	case !approval.Strong(v.Factors):
		return false, s.writeNew(w, r, v, http.StatusOK, "new.approved")
	}
	return true, s.cfg.Use(r.Context())
}

// writeNew shows the form, or only why there is none: the key of a sentence.
func (s *Section) writeNew(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, why string, faults ...*identity.Error) error {
	view := newView{Account: v.Account(r, "security"), Action: page.Base(r) + newPath, Back: page.Base(r) + securityPath}
	if why != "" {
		view.Alert.Text = site.Text(r, why)
		return newPage.Write(w, r, status, view)
	}
	view.Name = page.Field{
		Name: "name", Label: site.Text(r, "name"), Hint: site.Text(r, "name.hint"), Autocomplete: "off", Value: portal.Claimed(r, r.UserAgent()),
	}
	for _, fault := range faults {
		view.Alert.Text = site.Text(r, "new.many")
		if fault.Field == "name" {
			view.Alert.Text, view.Name.Error, view.Name.Value = site.Text(r, "check"), site.Text(r, "name.hint"), ""
		}
	}
	view.Alert.Start(&view.Name)
	return newPage.Write(w, r, status, view)
}

func (s *Section) ask(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := s.ready(w, r, v); !ok || err != nil {
		return err
	}
	return s.writeNew(w, r, v, http.StatusOK, "")
}

// allow makes this browser one that approves.
func (s *Section) allow(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := s.ready(w, r, v); !ok || err != nil {
		return err
	}
	cookie := ""
	err = v.UpdateFresh(r.Context(), func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, v.Tenant, v.UserID); err != nil { // a row of nobody would never be deleted
			return err
		}
		_, cookie, err = approval.Allow(tx, s.cfg.Ring, v.Tenant, v.UserID, v.ID, f.Get("name"))
		return err
	})
	if errors.Is(err, identity.ErrInvalid) {
		return s.writeNew(w, r, v, http.StatusUnprocessableEntity, "", identity.Errors(err)...)
	}
	if err != nil {
		return err
	}
	page.SetCookie(w, r, s.cfg.Cookie, cookie, approval.CookieLifetime)
	return done(w, r, "approver-allowed")
}

func done(w http.ResponseWriter, r *http.Request, what string) error {
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+what)
}

// oneView is for another name, or the end, of an approver.
type oneView struct {
	Account              page.Navigation
	Alert                page.Alert
	Called               string
	Name                 page.Field
	Action, Remove, Back string
	Push                 pushView
}

// find returns the approver of the path, or fsm.ErrNotFound.
func (s *Section) find(r *http.Request, v *portal.Visitor) (a approval.Approver, err error) {
	err = s.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		all, err := approval.List(tx, v.Tenant, v.UserID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(a approval.Approver) bool { return a.ID == r.PathValue("id") })
		if i < 0 {
			return fsm.ErrNotFound
		}
		a = all[i]
		return nil
	})
	return a, err
}

func (s *Section) show(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	a, err := s.find(r, v)
	if err != nil {
		return err
	}
	return s.writeOne(w, r, v, http.StatusOK, &a, nil)
}

func (s *Section) writeOne(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, a *approval.Approver, fault error) error {
	at := page.Base(r) + path + "/" + a.ID
	view := oneView{
		Account: v.Account(r, "security"), Called: a.Name, Action: at, Remove: at + "/remove", Back: page.Base(r) + securityPath,
		Name: page.Field{Name: "name", Label: site.Text(r, "name"), Hint: site.Text(r, "name.hint"), Value: a.Name, Autocomplete: "off"},
	}
	if fault != nil {
		view.Alert.Text, view.Name.Error = site.Text(r, "check"), site.Text(r, "name.hint")
	}
	view.Alert.Start(&view.Name)
	var err error
	if view.Push, err = s.pushView(r, v, a); err != nil {
		return err
	}
	return onePage.Write(w, r, status, view)
}

func (s *Section) rename(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		return approval.Rename(tx, v.Tenant, v.UserID, r.PathValue("id"), f.Get("name"))
	})
	if errors.Is(err, identity.ErrInvalid) {
		a, ferr := s.find(r, v)
		if ferr != nil {
			return ferr
		}
		return s.writeOne(w, r, v, http.StatusUnprocessableEntity, &a, err)
	}
	if err != nil {
		return err
	}
	return done(w, r, "approver-renamed")
}

// remove takes the right to approve away from a browser. It makes nothing easier to enter and
// is nobody's only way in, so it asks for no proof.
func (s *Section) remove(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	a, err := s.find(r, v)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error { return approval.Remove(tx, v.Tenant, v.UserID, a.ID) })
	if err != nil {
		return err
	}
	if a.Session == v.ID {
		page.SetCookie(w, r, s.cfg.Cookie, "", -1)
	}
	return done(w, r, "approver-removed")
}
