package passkey

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"net/http"
	"net/url"

	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	security = "/account/security"
	path     = security + "/passkeys"
	newPath  = path + "/new"
	keyPath  = newPath + "?kind=key" // for a security key that is asked for after a password
)

//go:embed templates texts
var files embed.FS

var (
	site     = page.NewSite(files, english)
	newPage  = page.Page[newView](site, "templates/new.html")
	onePage  = page.Page[oneView](site, "templates/one.html")
	donePage = page.Page[doneView](site, "templates/done.html")
)

// Config says what the section works with.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring
	// Memory is what browsers remember of who does not want to be offered a passkey.
	Memory memory.Memory
	// Modern makes sure that every member of the cluster knows passkeys before there is one.
	Modern func(context.Context) error
	// Keys does so for security keys.
	Keys func(context.Context) error
}

// Section is what /account/security shows of passkeys, and their pages.
type Section struct{ cfg Config }

// New returns the section.
func New(cfg Config) *Section { return &Section{cfg} }

// Routes mounts the pages.
func (s *Section) Routes(handle, _ portal.Mount) {
	handle("GET "+newPath, s.ask)
	handle("POST "+newPath, s.add)
	handle("GET "+offerPath, s.offer)
	handle("POST "+offerPath, s.take)
	handle("GET "+laterPath, s.later)
	handle("GET "+path, s.done)
	handle("GET "+path+"/{id}", s.show)
	handle("POST "+path+"/{id}", s.rename)
	handle("POST "+path+"/{id}/remove", s.remove)
}

// Card lists the person's passkeys; where passkeys cannot work there is no card.
func (s *Section) Card(tx *fsm.Tx, r *http.Request, v *portal.Visitor) (portal.Card, error) {
	if _, err := passkey.RPID(identity.TenantFrom(r.Context()).Issuer); err != nil {
		return portal.Card{}, nil
	}
	c := portal.Card{
		Title: site.Text(r, "title"), Lead: site.Text(r, "lead"),
	}
	a, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return portal.Card{}, err
	}
	for k, err := range passkey.List(tx, v.Tenant, v.UserID) {
		if err != nil {
			return portal.Card{}, err
		}
		bar, err := passkey.Barred(tx, a.Passkey, k)
		if err != nil {
			return portal.Card{}, err
		}
		c.Rows = append(c.Rows, row(tx, r, k, bar))
	}
	c.Actions = []portal.Action{{Label: site.Text(r, "add"), Path: newPath, Main: len(c.Rows) == 0}}
	return c, nil
}

// refusals are the keys of why a passkey is not accepted any more, and of what to do.
var refusals = map[passkey.Bar]string{passkey.Copied: "refused.copied", passkey.Denied: "refused.denied", passkey.Unsafe: "refused.unsafe", passkey.Unproved: "refused.unproved"}

func row(tx *fsm.Tx, r *http.Request, k *passkey.Passkey, bar passkey.Bar) portal.Row {
	tag := page.Language(r)
	kind, used := "bound", site.Text(r, "never")
	switch {
	case k.Second:
		kind = "second"
	case k.Synced:
		kind = "synced"
	}
	if !k.LastUsed.IsZero() {
		used = site.Text(r, "used", language.Ago(tag, k.LastUsed, tx.Now()))
	}
	out := portal.Row{
		Name:  k.Name,
		Facts: []string{site.Text(r, kind), site.Text(r, "added", language.Date(tag, k.Created)), used},
		Actions: []portal.Action{{
			Label: site.Text(r, "change"), Names: site.Text(r, "about", k.Name), Path: path + "/" + k.ID,
		}},
	}
	if k.Make != "" && k.Make != k.Name {
		out.Facts = append([]string{k.Make}, out.Facts...)
	}
	if why, ok := refusals[bar]; ok {
		out.Mark, out.Facts = site.Text(r, "refused"), append([]string{site.Text(r, why)}, out.Facts...)
	}
	return out
}

type newView struct {
	Account                        page.Navigation
	Alert                          page.Alert
	Name                           page.Field
	Options, Session, Action, Back string
	Key                            bool   // a security key is made, not a passkey
	Other                          string // where the other of the two is made; "": nowhere
}

// madeAt is the page of what r makes.
func madeAt(r *http.Request) string {
	if r.URL.Query().Get("kind") == "key" {
		return keyPath
	}
	return newPath
}

// ask shows the form that makes a passkey, or a security key.
func (s *Section) ask(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.FreshToSetUp(w, r, madeAt(r)); !ok {
		return err
	}
	return s.writeNew(w, r, v, http.StatusOK, "", nil)
}

func (s *Section) writeNew(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, name string, fault error) error {
	view := newView{
		Account: v.Account(r, "security"), Action: page.Base(r) + madeAt(r), Key: madeAt(r) == keyPath, Back: page.Base(r) + security,
		Name: page.Field{Name: "name", Label: site.Text(r, "new.name"), Hint: site.Text(r, "new.hint"), Value: identity.Printable(name, 80), Optional: true},
	}
	way := asked
	if view.Key {
		way, view.Other = askedKey, page.Base(r)+newPath
	}
	var err error
	if view.Options, view.Session, err = s.begin(r, v, way); err == nil && !view.Key {
		view.Other, err = s.keysMade(r, v)
	}
	if errors.Is(err, identity.ErrInvalid) { // there are as many as are allowed, or none can be
		status, fault, err = http.StatusUnprocessableEntity, err, nil
	}
	if err != nil {
		return err
	}
	for _, e := range identity.Errors(fault) {
		view.Alert.Text = page.Detail(r, e)
	}
	return newPage.Write(w, r, status, view)
}

// asked begins the making of a passkey that the person has asked for.
func asked(tx *fsm.Tx, t identity.Tenant, name string, a *settings.Authentication, u *directory.User) (options, session []byte, err error) {
	return passkey.BeginRegistration(tx, t, name, a.Passkey, u, a.PasskeyLogin)
}

// askedKey begins the making of a security key.
func askedKey(tx *fsm.Tx, t identity.Tenant, name string, a *settings.Authentication, u *directory.User) (options, session []byte, err error) {
	if left, err := spare.LeftTo(tx, u); err != nil || !left.Known(a) {
		return nil, nil, cmp.Or[error](err, identity.Invalid("", "A security key is asked for after a password, and you have none to sign in with. Add a passkey."))
	}
	return passkey.BeginKey(tx, t, name, a.Passkey, u)
}

// keysMade returns where v makes a security key, "" where it would be of no use: without
// anything that comes before it, or where any passkey may be such a key.
func (s *Section) keysMade(r *http.Request, v *portal.Visitor) (at string, err error) {
	err = s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, v.Tenant)
		if err != nil {
			return err
		}
		left, err := spare.LeftTo(tx, v.User)
		if err == nil && left.Known(a) && (a.PasskeyLogin || a.Passkey.UserVerification == "required") {
			at = page.Base(r) + keyPath
		}
		return err
	})
	return at, err
}

// begin returns what the browser needs to make a passkey, and the session for register, sealed.
func (s *Section) begin(r *http.Request, v *portal.Visitor,
	how func(*fsm.Tx, identity.Tenant, string, *settings.Authentication, *directory.User) (options, session []byte, err error)) (options, sealed string, err error) {
	t := identity.TenantFrom(r.Context())
	var made, ceremony []byte
	err = s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		decided, _, err := settings.Get(tx, t.ID)
		if err != nil {
			return err
		}
		called, err := settings.NameOf(tx, t.ID)
		if err != nil {
			return err
		}
		made, ceremony, err = how(tx, t, called, decided, v.User)
		return err
	})
	if err != nil {
		return "", "", err
	}
	sealed, err = passkey.Carry(s.cfg.Ring, ceremony, whose(v))
	return string(made), sealed, err
}

// whose is what a sealed session is bound to: nobody else's browser can use it.
func whose(v *portal.Visitor) string { return v.Tenant + "/" + v.ID }

// add takes what the browser has made.
func (s *Section) add(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := v.FreshToSetUp(w, r, madeAt(r)); !ok {
		return err
	}
	k, err := s.register(r, v, f.Get("session"), f)
	if errors.Is(err, identity.ErrInvalid) || errors.Is(err, fsm.ErrExists) {
		return s.writeNew(w, r, v, http.StatusUnprocessableEntity, f.Get("name"), err)
	}
	if err != nil {
		return err
	}
	if k.Second {
		return page.Onward(w, r, page.Base(r)+path+"?done=key")
	}
	return page.Onward(w, r, page.Base(r)+path+"?done=added")
}

// register gives v the passkey that the browser has made in a sealed session, as the form says.
func (s *Section) register(r *http.Request, v *portal.Visitor, sealed string, f url.Values) (k *passkey.Passkey, err error) {
	ceremony, err := passkey.Carried(s.cfg.Ring, sealed, whose(v))
	if err != nil {
		return nil, err
	}
	needed := s.cfg.Modern
	if passkey.IsKey(ceremony) {
		needed = s.cfg.Keys
	}
	if err := needed(r.Context()); err != nil {
		return nil, err
	}
	t := identity.TenantFrom(r.Context())
	err = v.UpdateToSetUp(r.Context(), func(tx *fsm.Tx) error {
		decided, _, err := settings.Get(tx, t.ID)
		if err != nil {
			return err
		}
		k, err = passkey.Register(tx, t, decided.Passkey, v.UserID, ceremony, []byte(f.Get("response")), f.Get("name"))
		if err != nil || k.Second && assurance.Has(v.Factors, assurance.Passkey) { // it would stand in for one that has verified its user
			return err
		}
		return session.Prove(tx, v.Tenant, v.ID, assurance.Factor{Method: assurance.Passkey, Verified: k.UVInitialized, Bound: !k.Synced, Attested: k.InHardware(true), Ref: k.ID})
	})
	return k, err
}

type doneView struct {
	Account                       page.Navigation
	Said, Back, Accepted, Details string
}

// done confirms the last change, and tells the browser what it should know of it.
func (s *Section) done(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	view := doneView{Account: v.Account(r, "security"), Back: page.Base(r) + security}
	switch v.Done { // a stranger can make a link with any value
	case "added", "key", "renamed", "removed":
		view.Said = site.Text(r, "done."+v.Done)
	}
	err := s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		accepted, details, err := passkey.Signals(tx, identity.TenantFrom(r.Context()), v.User)
		view.Accepted, view.Details = string(accepted), string(details)
		return err
	})
	if err != nil && !errors.Is(err, identity.ErrInvalid) {
		return err
	}
	return donePage.Write(w, r, http.StatusOK, view)
}

type oneView struct {
	Account                       page.Navigation
	Alert                         page.Alert
	Name                          page.Field
	Called, Action, Removal, Back string
	Needed                        portal.Stay // why it cannot be removed
}

// show is the page of one passkey.
func (s *Section) show(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	return s.writeOne(w, r, v, http.StatusOK, nil)
}

func (s *Section) writeOne(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, fault error) error {
	at := page.Base(r) + path + "/" + r.PathValue("id")
	view := oneView{Account: v.Account(r, "security"), Action: at, Removal: at + "/remove", Back: page.Base(r) + security}
	err := s.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		k, err := passkey.Get(tx, v.Tenant, v.UserID, r.PathValue("id"))
		if err != nil {
			return err
		}
		view.Called = k.Name
		view.Name = page.Field{Name: "name", Label: site.Text(r, "new.name"), Hint: site.Text(r, "new.hint"), Value: k.Name}
		view.Needed, err = spared(tx, r, v, k)
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range identity.Errors(fault) {
		view.Alert.Text = page.Detail(r, e)
	}
	return onePage.Write(w, r, status, view)
}

// spared says why v cannot do without k.
func spared(tx *fsm.Tx, r *http.Request, v *portal.Visitor, k *passkey.Passkey) (portal.Stay, error) {
	a, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return portal.Stay{}, err
	}
	if bar, err := passkey.Barred(tx, a.Passkey, k); err != nil || bar != "" { // it signs nobody in
		return portal.Stay{}, err
	}
	return v.Without(tx, r, func(l *spare.Left) { l.Lose(k) })
}

func (s *Section) rename(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		return passkey.Rename(tx, v.Tenant, v.UserID, r.PathValue("id"), f.Get("name"))
	})
	if errors.Is(err, identity.ErrInvalid) {
		return s.writeOne(w, r, v, http.StatusUnprocessableEntity, err)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+path+"?done=renamed")
}

func (s *Section) remove(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if ok, err := v.Fresh(w, r, path+"/"+r.PathValue("id")); !ok {
		return err
	}
	err := v.UpdateFresh(r.Context(), func(tx *fsm.Tx) error {
		k, err := passkey.Get(tx, v.Tenant, v.UserID, r.PathValue("id"))
		if err != nil {
			return err
		}
		if stay, err := spared(tx, r, v, k); err != nil || stay.Why != "" {
			return cmp.Or[error](err, identity.Invalid("", stay.Why))
		}
		return passkey.Delete(tx, v.Tenant, v.UserID, k.ID)
	})
	if errors.Is(err, identity.ErrInvalid) {
		return s.writeOne(w, r, v, http.StatusUnprocessableEntity, err)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+path+"?done=removed")
}
