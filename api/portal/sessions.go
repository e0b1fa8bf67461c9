package portal

import (
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/session"
)

const sessionsPath = "/account/sessions"

// sessionsView lists where the person is signed in.
type sessionsView struct {
	Account page.Navigation
	Notice  string
	Rows    []Row
	Actions []Action
}

// listSessions shows where the person is signed in, this browser first.
func (p *Portal) listSessions(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	var all []session.Session
	err := p.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) (err error) {
		all, err = p.cfg.Sessions.ListOf(tx, v.Tenant, v.UserID)
		return err
	})
	if err != nil {
		return err
	}
	view := sessionsView{Account: v.Account(r, "sessions")}
	switch v.Done {
	case "one":
		view.Notice = site.Text(r, "sessions.ended")
	case "others":
		view.Notice = site.Text(r, "sessions.ended_others")
	}
	own := page.Base(r) + sessionsPath
	var here, others []Row
	for i := range all {
		row := p.showSession(r, &all[i])
		if all[i].ID == v.ID {
			row.Mark = site.Text(r, "sessions.this")
			row.Actions = []Action{{Label: site.Text(r, "sessions.leave"), Path: page.Base(r) + "/logout"}}
			here = append(here, row)
			continue
		}
		row.Actions = v.may(Action{
			Label: site.Text(r, "sessions.end"), Names: site.Text(r, "sessions.end.label", row.Name),
			Path: own, Post: true, Form: map[string]string{"session": all[i].ID},
		})
		others = append(others, row)
	}
	if len(others) > 0 {
		view.Actions = v.may(Action{Label: site.Text(r, "sessions.end_others"), Path: own, Post: true, Form: map[string]string{"others": "yes"}})
	}
	view.Rows = append(here, others...)
	return sessionsPage.Write(w, r, http.StatusOK, view)
}

func (p *Portal) showSession(r *http.Request, s *session.Session) Row {
	seen := site.Text(r, "sessions.seen", language.Ago(page.Language(r), s.LastSeen, p.cfg.DB.Now()))
	if s.Impersonation != nil { // where an administrator sits is not the person's to know
		return Row{Name: site.Text(r, "sessions.acting"), Facts: []string{seen}}
	}
	return Row{Name: Claimed(r, s.UserAgent), Facts: []string{
		seen,
		site.Text(r, "sessions.since", language.Moment(page.Language(r), s.AuthTime), Place(r, s.IP)),
	}}
}

// endSessions signs one browser out, or all but this one.
func (p *Portal) endSessions(w http.ResponseWriter, r *http.Request, v *Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	done := "one"
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		if f.Get("others") == "yes" {
			done = "others"
			_, err := session.EndOthersOf(tx, v.Tenant, v.UserID, v.ID)
			return err
		}
		s, err := session.Get(tx, v.Tenant, f.Get("session"))
		if err != nil {
			return gone(err)
		}
		if s.UserID != v.UserID { // as if it were not there
			return nil
		}
		return session.End(tx, v.Tenant, s.ID)
	})
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+sessionsPath+"?done="+done)
}
