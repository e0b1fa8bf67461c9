package certificate

import (
	"context"
	"embed"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/spare"
)

const (
	security = "/account/security"
	path     = security + "/certificates"
	newPath  = path + "/new"
)

//go:embed templates texts
var files embed.FS

var (
	site    = page.NewSite(files, english)
	newPage = page.Page[newView](site, "templates/new.html")
)

// Config says what the section works with.
type Config struct {
	DB   *fsm.DB
	Desk *desk.Desk
	// Certificates is the origin at which browsers are asked for certificates; empty: they are not.
	Certificates string
	// Modern makes sure that every member of the cluster heeds certificates before there is one.
	Modern func(context.Context) error
}

// Section is what /account/security shows of certificates, and their pages.
type Section struct{ cfg Config }

// New returns the section.
func New(cfg Config) *Section { return &Section{cfg} }

// Routes mounts the pages.
func (s *Section) Routes(handle, _ portal.Mount) {
	handle("GET "+path, s.begin)
	handle("GET "+newPath, s.ask)
	handle("POST "+newPath, s.add)
	handle("POST "+path, s.remove)
	handle("GET "+path+"/{id}", portal.AskName(s.naming))
	handle("POST "+path+"/{id}", portal.TakeName(s.naming))
}

// Card lists the person's certificates; where none can be used, and none was, there is no card.
func (s *Section) Card(tx *fsm.Tx, r *http.Request, v *portal.Visitor) (portal.Card, error) {
	open, err := s.open(tx, v)
	if err != nil {
		return portal.Card{}, err
	}
	all, err := certificate.Of(tx, v.Tenant, v.UserID)
	if err != nil || !open && len(all) == 0 {
		return portal.Card{}, err
	}
	c := portal.Card{Title: site.Text(r, "title"), Lead: site.Text(r, "lead")}
	switch v.Done { // a stranger can make a link with any value
	case "certificate-added":
		c.Notice = site.Text(r, "done.added")
	case "certificate-renamed":
		c.Notice = site.Text(r, "done.renamed")
	case "certificate-removed":
		c.Notice = site.Text(r, "done.removed")
	case "certificate-last":
		c.Alert.Text = site.Text(r, "last")
	case "certificate-refused":
		c.Alert.Text = site.Text(r, "refused")
	}
	for _, one := range all {
		c.Rows = append(c.Rows, row(tx, r, &one))
	}
	if open {
		c.Actions = []portal.Action{{Label: site.Text(r, "add"), Path: path, Main: len(all) == 0}}
	}
	return c, nil
}

// open reports whether people may add certificates.
func (s *Section) open(tx *fsm.Tx, v *portal.Visitor) (bool, error) {
	if s.cfg.Certificates == "" {
		return false, nil
	}
	all, err := certificate.List(tx, v.Tenant)
	return slices.ContainsFunc(all, func(a certificate.Authority) bool {
		return slices.Contains(a.Rules, certificate.Rule{From: certificate.FromAdded})
	}), err
}

func row(tx *fsm.Tx, r *http.Request, c *certificate.Certificate) portal.Row {
	tag := page.Language(r)
	used := site.Text(r, "never")
	if !c.LastUsed.IsZero() {
		used = site.Text(r, "used", language.Ago(tag, c.LastUsed, tx.Now()))
	}
	out := portal.Row{Name: c.Called(), Facts: []string{site.Text(r, "until", language.Date(tag, c.NotAfter)), used}}
	if c.Name != "" {
		out.Facts = append([]string{c.Title}, out.Facts...)
	}
	out.Actions = []portal.Action{{Label: site.Text(r, "change"), Names: site.Text(r, "change.label", out.Name), Path: path + "/" + c.ID}}
	if c.By == "" { // a rule's: the person cannot take it away
		out.Facts = append(out.Facts, site.Text(r, "rule"))
		return out
	}
	out.Actions = append(out.Actions, portal.Action{
		Label: site.Text(r, "remove"), Names: site.Text(r, "remove.label", out.Name), Path: path, Post: true, Form: map[string]string{"certificate": c.ID},
	})
	return out
}

// begin leads to where the browser is asked for a certificate.
func (s *Section) begin(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.FreshToSetUp(w, r, path); !ok {
		return err
	}
	if s.cfg.Certificates == "" {
		return identity.NotFound("")
	}
	ticket, err := s.cfg.Desk.Ask(v.Tenant, v.ID)
	if err != nil {
		return err
	}
	return page.Onward(w, r, s.cfg.Certificates+page.Base(r)+"/login/certificate?"+url.Values{"for": {ticket}}.Encode())
}

type newView struct {
	Account                    page.Navigation
	Alert                      page.Alert
	Name                       page.Field
	Title, Shown, Action, Back string
}

// ask shows what the browser has shown, and asks whether it shall be added.
func (s *Section) ask(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	return s.write(w, r, v, http.StatusOK, r.URL.Query().Get("shown"), "", nil)
}

func (s *Section) write(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, box, name string, fault error) error {
	shown, err := s.cfg.Desk.Found(v.Tenant, v.ID, box)
	if errors.Is(err, desk.ErrOutdated) {
		return page.Onward(w, r, page.Base(r)+security+"?done=certificate-refused")
	}
	if err != nil {
		return err
	}
	view := newView{
		Account: v.Account(r, "security"), Title: shown.Names.Title, Shown: box, Action: page.Base(r) + newPath, Back: page.Base(r) + security,
		Name: page.Field{Name: "name", Label: site.Text(r, "new.name"), Hint: site.Text(r, "new.hint"), Value: identity.Printable(name, 100), Optional: true},
	}
	if fault != nil {
		view.Alert.Text = site.Text(r, "new.taken")
	}
	return newPage.Write(w, r, status, view)
}

// add adds the certificate to the person's account.
func (s *Section) add(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := v.FreshToSetUp(w, r, path); !ok {
		return err
	}
	if err := s.cfg.Modern(r.Context()); err != nil {
		return err
	}
	shown, err := s.cfg.Desk.Found(v.Tenant, v.ID, f.Get("shown"))
	if errors.Is(err, desk.ErrOutdated) {
		return page.Onward(w, r, page.Base(r)+security+"?done=certificate-refused")
	}
	if err != nil {
		return err
	}
	err = v.UpdateToSetUp(r.Context(), func(tx *fsm.Tx) error {
		return shown.Add(tx, v.Tenant, v.UserID, f.Get("name"))
	})
	if errors.Is(err, identity.ErrInvalid) || errors.Is(err, fsm.ErrExists) {
		return s.write(w, r, v, http.StatusUnprocessableEntity, f.Get("shown"), f.Get("name"), err)
	}
	if _, refused := errors.AsType[*certificate.Refused](err); refused {
		return page.Onward(w, r, page.Base(r)+security+"?done=certificate-refused")
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+security+"?done=certificate-added")
}

// remove takes a certificate away that was added.
func (s *Section) remove(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := v.Fresh(w, r, security); !ok {
		return err
	}
	done := "certificate-removed"
	err = v.UpdateFresh(r.Context(), func(tx *fsm.Tx) error {
		only, err := last(tx, v, f.Get("certificate"))
		if err != nil {
			return err
		}
		if done = "certificate-removed"; only {
			done = "certificate-last"
			return nil
		}
		return certificate.Delete(tx, v.Tenant, v.UserID, f.Get("certificate"))
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) { // one that is gone is as wanted
		return err
	}
	return page.Onward(w, r, page.Base(r)+security+"?done="+done)
}

// last reports whether without this certificate nothing is left that v could sign in with. Of
// others only those count that are good today: nobody gets in with one that has run out, or was revoked.
func last(tx *fsm.Tx, v *portal.Visitor, id string) (bool, error) {
	u, _, err := directory.GetUser(tx, v.Tenant, v.UserID)
	if err != nil {
		return false, err
	}
	begins, err := spare.Begins(tx, u)
	if err != nil || begins {
		return false, err
	}
	good, err := certificate.GoodOf(tx, v.Tenant, v.UserID)
	return !slices.ContainsFunc(good, func(h certificate.Held) bool { return h.ID != id }), err
}

// naming is for another name of the certificate of the path, or fsm.ErrNotFound.
func (s *Section) naming(r *http.Request, v *portal.Visitor) (n portal.Naming, err error) {
	err = s.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		c, err := certificate.One(tx, v.Tenant, v.UserID, r.PathValue("id"))
		if err == nil {
			n = portal.Naming{Path: path + "/" + c.ID, Called: c.Called(), Name: c.Name, Hint: site.Text(r, "new.hint"), Done: "certificate-renamed"}
			n.Rename = func(tx *fsm.Tx, name string) error { return certificate.Rename(tx, v.Tenant, v.UserID, c.ID, name) }
		}
		return err
	})
	return n, err
}
