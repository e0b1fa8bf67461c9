package consent

import (
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	approvals "github.com/quis-idp/quis/identity/credential/approval" // a row of this page is one, too
	"github.com/quis-idp/quis/identity/language"
)

const (
	kindApproval  = "approval"
	approvalsPath = "/account/approvals"
)

// listApprovals shows what applications wait for.
func (p *Pages) listApprovals(w http.ResponseWriter, r *http.Request) error {
	v, err := p.visitor(w, r, approvalsPath)
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	view := approvalsView{Account: account(r, v.user, "approvals", v.Impersonation != nil), Action: page.Base(r) + approvalsPath, Again: page.Base(r) + approvalsPath}
	switch r.URL.Query().Get("done") {
	case "allowed":
		view.Notice = site.Text(r, "approvals.allowed")
	case "denied":
		view.Notice = site.Text(r, "approvals.denied")
	}
	var signIn *approvals.Request
	var waiting []*ciba.Request
	apps := map[string]*federation.Application{}
	err = p.cfg.DB.View(r.Context(), func(tx *fsm.Tx) error {
		waiting = waiting[:0]
		if signIn, err = approvals.Waiting(tx, v.Tenant, v.UserID); err != nil {
			return err
		}
		for q, err := range ciba.Of(tx, v.Tenant, v.UserID) {
			if err != nil {
				return err
			}
			if q.State != ciba.Pending {
				continue
			}
			app, _, err := federation.Get(tx, v.Tenant, q.Application)
			if errors.Is(err, fsm.ErrNotFound) {
				continue // deleted while it waited
			}
			if err != nil {
				return err
			}
			waiting, apps[app.ID] = append(waiting, q), app
		}
		return nil
	})
	if err != nil {
		return err
	}
	if signIn != nil {
		view.SignIn = page.Base(r) + portal.AnswerPath
	}
	for _, q := range waiting {
		ticket, err := p.ticket(kindApproval, v, q.Family)
		if err != nil {
			return err
		}
		app := apps[q.Application]
		asks, err := p.asksOf(r, app, &q.Grant)
		if err != nil {
			return err
		}
		lacks, err := p.lacking(r.Context(), v, app.ID)
		if err != nil {
			return err
		}
		view.Waiting = append(view.Waiting, approval{
			More: lacks != nil, Application: app.DisplayName(), Message: q.Message, Asks: asks, Begun: language.Ago(page.Language(r), time.UnixMilli(q.Created), p.cfg.DB.Now()), Ticket: ticket,
		})
	}
	return approvalsPage.Write(w, r, http.StatusOK, view)
}

// decideApproval takes one decision and shows what is left.
func (p *Pages) decideApproval(w http.ResponseWriter, r *http.Request) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	v, err := p.visitor(w, r, approvalsPath)
	if v == nil {
		return err
	}
	r = page.Account(r, v.user.Locale)
	id, err := p.asked(kindApproval, v, f.Get("ticket"))
	if err != nil {
		return p.gone(w, r, err)
	}
	decide, done := ciba.Deny, "denied"
	if f.Get("decision") == "allow" { // anything else is a no
		decide, done = ciba.Approve, "allowed"
	}
	err = p.decide(r.Context(), v, id, decide)
	if lacks, ok := errors.AsType[*poll.NotEnough](err); ok {
		return p.raise(w, r, v, lacks, approvalsPath)
	}
	if err != nil {
		return p.gone(w, r, err)
	}
	return page.Onward(w, r, page.Base(r)+approvalsPath+"?done="+done)
}
