package approval

import (
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/language"
	"github.com/quis-idp/quis/identity/session"
)

// answerView shows the sign-in that waits, if one does.
type answerView struct {
	Account                            page.Navigation
	Notice                             string // what became of the last; "" nothing
	Alert                              page.Alert
	Request                            string // its ID; "" none waits
	Browser, Place, Application, Begun string
	Number                             page.Field
	Why                                string // this browser may not approve; "" it may
	Action                             string
}

// waiting shows the sign-in that waits.
func (s *Section) waiting(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	return s.writeAnswer(w, r, v, http.StatusOK, 0)
}

// writeAnswer shows the sign-in that waits, after a wrong number with how many more may be
// typed.
func (s *Section) writeAnswer(w http.ResponseWriter, r *http.Request, v *portal.Visitor, status, left int) error {
	view := answerView{Account: v.Account(r, "approvals"), Action: page.Base(r) + portal.AnswerPath}
	switch v.Done { // a stranger can make a link with any value
	case "approved", "refused", "ended", "over":
		view.Notice = site.Text(r, "done."+v.Done)
	}
	// Read: it may have been asked for at another node a moment ago.
	err := s.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		q, err := approval.Waiting(tx, v.Tenant, v.UserID)
		if err == nil && q == nil {
			err = fsm.ErrNotFound
		}
		if err != nil {
			return err
		}
		view.Request, view.Application = q.ID, q.Application
		view.Browser, view.Place = portal.Claimed(r, q.From.UserAgent), portal.Place(r, q.From.IP)
		view.Begun = language.Ago(page.Language(r), q.Begun, tx.Now())
		a, err := approval.At(tx, v.Tenant, v.UserID, v.ID)
		switch {
		case err != nil:
			return err
		case a == nil:
			view.Why = site.Text(r, "answer.elsewhere")
		case !approval.Strong(v.Factors):
			view.Why = site.Text(r, "answer.weak")
		}
		return nil
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	if view.Request != "" {
		view.Account.Answer = "" // the page is this one
		view.Number = page.Field{Name: "number", Label: site.Text(r, "answer.number"), Hint: site.Text(r, "answer.number.hint"), Autocomplete: "off", Numeric: true, Focus: true}
		if left > 0 {
			view.Number.Wrong(&view.Alert, site.Text(r, "answer.wrong", left))
		}
	}
	return answerPage.Write(w, r, status, view)
}

// answer takes a decision: with the number it is a yes, anything else is a no.
func (s *Section) answer(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	switch id := f.Get("request"); f.Get("decision") {
	case "approve":
		return s.approve(w, r, v, id, f.Get("number"))
	case "disown":
		return s.disown(w, r, v, id)
	default:
		err := v.Update(r.Context(), func(tx *fsm.Tx) error { return approval.Refuse(tx, v.Tenant, v.UserID, id, "refused") })
		return answered(w, r, "refused", err)
	}
}

func answered(w http.ResponseWriter, r *http.Request, what string, err error) error {
	if errors.Is(err, fsm.ErrNotFound) {
		what, err = "over", nil
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+portal.AnswerPath+"?done="+what)
}

func (s *Section) approve(w http.ResponseWriter, r *http.Request, v *portal.Visitor, id, number string) error {
	left, right := 0, false
	err := v.Update(r.Context(), func(tx *fsm.Tx) error {
		now, err := session.Get(tx, v.Tenant, v.ID)
		if err != nil {
			return err
		}
		if !approval.Strong(now.Factors) {
			return identity.Denied(site.Text(r, "answer.weak"))
		}
		left, right, err = approval.Answer(tx, s.cfg.Ring, v.Tenant, v.UserID, v.ID, id, number)
		return err
	})
	switch {
	case err != nil || right:
		return answered(w, r, "approved", err)
	case left == 0:
		return answered(w, r, "ended", nil)
	}
	return s.writeAnswer(w, r, v, http.StatusUnprocessableEntity, left)
}

// disown refuses a sign-in that the person did not begin: somebody has their password. One
// that is over already was still not theirs, and one that was approved by then let somebody in. What
// this session may itself have been proved by goes only if that was of late: who has but its cookie takes no more away than came later.
func (s *Section) disown(w http.ResponseWriter, r *http.Request, v *portal.Visitor, id string) error {
	if err := s.cfg.Use(r.Context()); err != nil {
		return err
	}
	onward := portal.RefusedPath
	disown := func(tx *fsm.Tx, least time.Time) error {
		err := approval.Refuse(tx, v.Tenant, v.UserID, id, "this wasn't me")
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		span, given, err := alarm.SpanOfApproval(tx, v.Tenant, v.UserID, id)
		if err != nil {
			return err
		}
		if onward = portal.RefusedPath; given {
			onward = portal.DisownedPath
		}
		if span.Since.Before(least) {
			span.Since = least
		}
		return v.Disown(tx, span, map[string]string{"approval": identity.Printable(id, 64)})
	}
	err := v.UpdateFresh(r.Context(), func(tx *fsm.Tx) error { return disown(tx, time.Time{}) })
	if errors.Is(err, identity.ErrUnauthenticated) { // not of late, or the session has ended
		err = v.Update(r.Context(), func(tx *fsm.Tx) error { return disown(tx, v.AuthTime) })
	}
	if err != nil {
		return err
	}
	return page.Onward(w, r, page.Base(r)+onward)
}
