package address

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/pending"
)

const (
	path        = portal.EmailPath
	cancelPath  = path + "/cancel"
	confirmPath = path + "/confirm"
)

// PerUser is how often one person may have links sent, on each node: strangers get them.
var PerUser = limit.Rate{Burst: 5, Every: 10 * time.Minute}

// Config says what the pages work with; all of it is needed.
type Config struct {
	DB   *fsm.DB
	Mail *notify.Room
	// Alarm returns the "this wasn't me" link for what a user is told of.
	Alarm func(t identity.Tenant, userID, what string) (string, error)
	// Modern makes sure that every member of the cluster reads changes that wait.
	Modern func(context.Context) error
}

// Section serves the pages. It has no card: the profile leads here.
type Section struct {
	cfg    Config
	limits *limit.Limiter
}

// New returns the pages.
func New(cfg Config) *Section { return &Section{cfg, limit.New(PerUser)} }

// Card is none.
func (s *Section) Card(*fsm.Tx, *http.Request, *portal.Visitor) (portal.Card, error) {
	return portal.Card{}, nil
}

// Routes mounts the pages.
func (s *Section) Routes(handle, _ portal.Mount) {
	handle("GET "+path, s.ask)
	handle("POST "+path, s.begin)
	handle("POST "+cancelPath, s.cancel)
	handle("GET "+confirmPath, s.look)
	handle("POST "+confirmPath, s.confirm)
}

// ask shows what waits to be confirmed, or the form that begins a change.
func (s *Section) ask(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	if v.Done == "" { // before anything is typed
		if ok, err := v.Fresh(w, r, path); !ok {
			return err
		}
	}
	return s.write(w, r, v, http.StatusOK, "", nil)
}

func (s *Section) write(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status int, typed string, faults []*identity.Error) error {
	base := page.Base(r)
	view := changeView{
		Account: v.Account(r, "profile"), Action: base + path, Cancel: base + cancelPath, Back: base + "/account", Now: v.User.Email, Proved: v.User.EmailVerified,
		Email: page.Field{
			Name: "email", Label: site.Text(r, "new"), Type: "email", Value: page.Typed(typed), Autocomplete: "email", Focus: true,
		},
	}
	switch v.Done { // a stranger can make a link with any value
	case "sent", "half", "changed", "confirmed", "cancelled":
		view.Notice = site.Text(r, "done."+v.Done)
	}
	err := s.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		sends, err := s.cfg.Mail.Sends(tx, v.Tenant)
		if err != nil {
			return err
		}
		view.Closed = !sends
		c, err := pending.EmailChangeOf(tx, v.Tenant, v.UserID)
		if err == nil && c != nil {
			view.Waiting = &waiting{To: c.To, OldWaits: len(c.OldHash) > 0, NewWaits: len(c.NewHash) > 0, Own: own(v, c)}
			if c.Asked {
				view.Waiting.From = c.From
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	page.Refuse(r, &view.Alert, faults, &view.Email)
	return changePage.Write(w, r, status, view)
}

// begin has the links sent.
func (s *Section) begin(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	if ok, err := v.Fresh(w, r, path); !ok {
		return err
	}
	if wait := s.limits.Take(v.Tenant + " " + v.UserID); wait > 0 {
		return identity.Limited("", wait)
	}
	if err := s.cfg.Modern(r.Context()); err != nil {
		return err
	}
	var b *pending.Begun
	err = v.UpdateFresh(r.Context(), func(tx *fsm.Tx) error {
		sends, err := s.cfg.Mail.Sends(tx, v.Tenant)
		if err == nil && !sends {
			err = identity.Denied(site.Text(r, "closed"))
		}
		if err != nil {
			return err
		}
		b, err = pending.BeginEmailChange(tx, v.Tenant, v.UserID, f.Get("email"))
		return err
	})
	if errors.Is(err, identity.ErrInvalid) {
		return s.write(w, r, v, http.StatusUnprocessableEntity, f.Get("email"), identity.Errors(err))
	}
	if err != nil {
		return err
	}
	if err := s.send(r, v, b); err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+path+"?done=sent")
}

// send hands over both letters. They are sent by this node, from memory: one that is lost with
// it is asked for again.
func (s *Section) send(r *http.Request, v *portal.Visitor, b *pending.Begun) error {
	t := identity.TenantFrom(r.Context())
	link := func(secret string) string {
		return t.Issuer + confirmPath + "?" + url.Values{"token": {secret}}.Encode()
	}
	locale := v.User.Locale
	if locale == "" {
		locale = string(page.Language(r))
	}
	if b.ToOld != "" {
		alarm, err := s.cfg.Alarm(t, v.UserID, "email change "+identity.NewID("chg"))
		if err != nil {
			return err
		}
		s.cfg.Mail.Send(r.Context(), v.Tenant, notify.Message{
			Letter: letter.EmailOld, To: b.From, Name: v.User.Name, Locale: locale, Data: letter.Data{What: b.To, Link: link(b.ToOld), Alarm: alarm, When: b.Created},
		})
	}
	m := notify.Message{Letter: letter.EmailNew, To: b.To, Locale: locale, Data: letter.Data{Link: link(b.ToNew)}}
	if b.ToNew == "" { // whose it is hears of it, and nobody else
		m.Letter, m.Data.Link = letter.AddressTaken, t.Issuer+"/login"
	}
	s.cfg.Mail.Send(r.Context(), v.Tenant, m)
	return nil
}

// cancel gives up the change that the page was about: the one of a link, or the one to an address. A page
// that stood open for long leaves a newer change alone.
func (s *Section) cancel(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	done := ""
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		done = ""
		if f.Has("token") {
			if _, _, err := find(tx, v, f.Get("token")); err != nil {
				return err
			}
		} else if c, err := pending.EmailChangeOf(tx, v.Tenant, v.UserID); err != nil || c != nil && c.To != f.Get("email") {
			return err
		}
		done = "?done=cancelled"
		return pending.CancelEmailChange(tx, v.Tenant, v.UserID)
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return s.dead(w, r, v)
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+path+done)
}

// find returns the change that a link belongs to, if it is v's. Somebody else's is as if it
// were not there.
func find(tx *fsm.Tx, v *portal.Visitor, secret string) (c *pending.EmailChange, isNew bool, err error) {
	c, isNew, err = pending.FindEmailChange(tx, v.Tenant, secret)
	if err == nil && c.UserID != v.UserID {
		return nil, false, fsm.ErrNotFound
	}
	return c, isNew, err
}

// look asks for a press of the button: scanners of mail follow links, but press none.
func (s *Section) look(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	token := r.URL.Query().Get("token")
	view := confirmView{Account: v.Account(r, "profile"), Action: page.Base(r) + confirmPath, Cancel: page.Base(r) + cancelPath, Token: token}
	err := s.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		c, isNew, err := find(tx, v, token)
		if err == nil {
			view.From, view.To, view.New = c.From, c.To, isNew
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return s.dead(w, r, v)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the token
	return confirmPage.Write(w, r, http.StatusOK, view)
}

func (s *Section) dead(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	return deadPage.Write(w, r, http.StatusGone, deadView{Account: v.Account(r, "profile"), Begin: page.Base(r) + path})
}

// own reports whether a change only confirms the address that v has already.
func own(v *portal.Visitor, c *pending.EmailChange) bool {
	return strings.EqualFold(c.To, v.User.Email)
}

// confirm spends a link. With the second the address changes.
func (s *Section) confirm(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	done := "half"
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		c, _, err := find(tx, v, f.Get("token"))
		if err != nil {
			return err
		}
		_, all, err := pending.ConfirmEmailChange(tx, v.Tenant, f.Get("token"))
		switch done = "half"; {
		case all && own(v, c):
			done = "confirmed"
		case all:
			done = "changed"
		}
		return err
	})
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return s.dead(w, r, v)
	case errors.Is(err, fsm.ErrExists): // somebody else has got the address meanwhile
		return s.write(w, r, v, http.StatusConflict, "", identity.Errors(identity.Invalid("", site.Text(r, "meanwhile"))))
	case err != nil:
		return err
	}
	return page.Onward(w, r, page.Base(r)+path+"?done="+done)
}
