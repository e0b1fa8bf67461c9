package login

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// lose goes on for somebody who has lost all second factors.
func (l *Login) lose(w http.ResponseWriter, r *http.Request) error {
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		return l.cfg.Flows.Lose(r.Context(), f)
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showSecond(w, r, f, status, "", nil)
	})
}

// showLost says how far the recovery is of somebody who has proved all that is left to them.
func (l *Login) showLost(w http.ResponseWriter, r *http.Request, f *authn.Flow) error {
	waiting, err := l.cfg.Flows.Recovering(r.Context(), f)
	if err != nil {
		return flowFault(w, r, err)
	}
	view := lostView{
		Action: page.Base(r) + "/login/regain", Flow: f.Sealed(),
		Restart: page.Base(r) + "/login?" + url.Values{"flow": {f.Sealed()}, "again": {"yes"}}.Encode(),
	}
	now := l.cfg.DB.Now()
	switch {
	case waiting == nil:
		err = l.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
			s, _, err := settings.Get(tx, f.Need.Tenant)
			switch {
			case err != nil:
				return err
			case s.Recovery.Delay == 0: // begun and finished in one
				view.State = "open"
			default:
				view.Wait = language.Duration(page.Language(r), time.Duration(s.Recovery.Delay)*time.Hour)
			}
			return nil
		})
	case waiting.Kind == regain.ByLink:
		view.State = "link"
	case waiting.State(now) == regain.Open:
		view.State, view.Recovery = "open", waiting.ID
	default:
		view.State, view.Wait = "delayed", language.Duration(page.Language(r), waiting.Ready.Sub(now))
	}
	if err != nil {
		return err
	}
	return lostPage.Write(w, r, http.StatusOK, view)
}

// regain begins the recovery, or finishes it when its time has come.
func (l *Login) regain(w http.ResponseWriter, r *http.Request) error {
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		return l.cfg.Flows.Regain(r.Context(), f, r.PostForm.Get("recovery"))
	}, func(r *http.Request, f *authn.Flow, _ int, _ []*identity.Error) error {
		return l.showLost(w, r, f)
	})
}

// askLink is the page behind the link of an administrator. It changes nothing: mail programs
// follow links before people do.
func (l *Login) askLink(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the secret
	wait, giveBack := l.admit(r, ruleLink)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	tenant := identity.TenantFrom(r.Context()).ID
	view := linkView{Action: page.Base(r) + "/regain/" + url.PathEscape(r.PathValue("secret"))}
	// Settled: approved through another node a moment ago, it works here, too.
	err := authn.Settled(r.Context(), l.cfg.DB, func(tx *fsm.Tx) error {
		view.First = ""
		link, err := regain.Follow(tx, tenant, r.PathValue("secret"))
		if err != nil || !link.First {
			return err
		}
		u, _, err := directory.GetUser(tx, tenant, link.UserID)
		if err == nil {
			view.First = u.Username
		}
		return err
	})
	if err != nil {
		return linkFault(w, r, err)
	}
	giveBack()
	return linkPage.Write(w, r, http.StatusOK, view)
}

// followLink begins a flow of this browser with the link.
func (l *Login) followLink(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Referrer-Policy", "no-referrer")
	if _, err := page.Form(r); err != nil {
		return err
	}
	wait, giveBack := l.admit(r, ruleLink)
	if wait > 0 {
		return identity.Limited("", wait)
	}
	sealed, err := l.cfg.Flows.Begin(r.Context(), authn.Need{ReturnTo: page.Base(r) + "/"})
	if err != nil {
		return err
	}
	binding := read(r, flowCookie)
	f, err := l.cfg.Flows.Load(r.Context(), sealed, binding)
	if err != nil {
		return flowFault(w, r, err)
	}
	if binding, err = l.cfg.Flows.Bind(f, binding); err != nil {
		return err
	}
	s, _, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if s != nil {
		f.Browser.SessionID = s.ID
	}
	done, err := l.cfg.Flows.Follow(r.Context(), f, r.PathValue("secret"))
	if err != nil {
		return linkFault(w, r, err)
	}
	giveBack()
	write(w, r, flowCookie, binding, 0)
	return l.goOn(w, inFlow(r, f), f, done)
}

// linkFault says that a link does not work, or not yet; other errors stay errors.
func linkFault(w http.ResponseWriter, r *http.Request, err error) error {
	status, title, detail := http.StatusGone, "link_dead.title", "regain.gone.detail"
	switch {
	case errors.Is(err, authn.ErrDeadFlow):
		return flowFault(w, r, err)
	case errors.Is(err, identity.ErrDenied):
		status, title, detail = http.StatusForbidden, "regain.early.title", "regain.early.detail"
	case !errors.Is(err, fsm.ErrNotFound) && !errors.Is(err, identity.ErrUnauthenticated):
		return err
	}
	return tell(w, r, status, title, site.Text(r, detail))
}
