package login

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/approval"
)

const faultLimited = "limited" // the field of a fault: it cannot be asked now

// showApproval offers to ask for an approval, or shows the number and waits.
func (l *Login) showApproval(w http.ResponseWriter, r *http.Request, f *authn.Flow, status int, who string, others []link, faults []*identity.Error) error {
	state, err := l.cfg.Flows.Approval(r.Context(), f)
	if err != nil {
		return err
	}
	view := approvalView{
		Purpose: purpose(r, f), Who: who, Ready: state == approval.Approved,
		Ask: page.Base(r) + "/login/ask", Action: page.Base(r) + "/login/second", Poll: page.Base(r) + "/login/asked",
		Flow: f.Sealed(), Others: others, Restart: again(r, f),
	}
	if state == approval.Pending {
		view.Number = f.Asked.Number
	}
	switch {
	case len(faults) > 0 && faults[0].Field == faultLimited:
		view.Alert.Text = site.Text(r, "approval.limited")
	case len(faults) > 0 && state == approval.Pending:
		view.Alert.Text = site.Text(r, "approval.pending")
	case f.Asked != nil && state == approval.Refused:
		view.Alert.Text = site.Text(r, "approval.refused")
	case f.Asked != nil && state == approval.Gone:
		view.Alert.Text = site.Text(r, "approval.gone")
	}
	return approvalPage.Write(w, r, status, view)
}

// ask has the other browsers of the person asked.
func (l *Login) ask(w http.ResponseWriter, r *http.Request) error {
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		done, err := l.cfg.Flows.Ask(r.Context(), f)
		if errors.Is(err, identity.ErrLimited) { // other ways are still open
			err = identity.Invalid(faultLimited, "An approval cannot be asked for now.")
		}
		return done, err
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showSecond(w, r, f, status, assurance.Approval, faults)
	})
}

// asked tells the script of the page whether there is something new: 204 as long as the flow
// waits, 200 once it does not, whatever came of it. It reads what this node has, as long as that waits; it counts
// for no limit, since it proves nothing and needs a flow of this browser.
func (l *Login) asked(w http.ResponseWriter, r *http.Request) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	flow, err := l.cfg.Flows.Load(r.Context(), f.Get("flow"), read(r, flowCookie))
	if errors.Is(err, authn.ErrDeadFlow) {
		return nil // 200: let the page see for itself
	}
	if err != nil {
		return err
	}
	state, err := l.cfg.Flows.Approval(r.Context(), flow)
	if err == nil && state == approval.Pending {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
