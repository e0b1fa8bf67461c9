package login

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/approval"
)

// home is the start page.
func (l *Login) home(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Query().Has(authn.TicketParameter) { // of use to protocols only; out of the address bar
		return page.Onward(w, r, page.Base(r)+"/")
	}
	s, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	view := homeView{Base: page.Base(r)}
	if u != nil {
		view.Acting = s.Impersonation != nil
		p := shown(u)
		view.Person = &p
	}
	return homePage.Write(w, r, http.StatusOK, view)
}

// signIn shows the form of a flow, or of a new one to the start page.
func (l *Login) signIn(w http.ResponseWriter, r *http.Request) error {
	sealed := r.URL.Query().Get("flow")
	s, u, err := l.signedIn(r)
	if err != nil {
		return err
	}
	if sealed == "" {
		if s != nil {
			return page.Onward(w, r, page.Base(r)+"/")
		}
		if sealed, err = l.cfg.Flows.Begin(r.Context(), authn.Need{ReturnTo: page.Base(r) + "/"}); err != nil {
			return err
		}
	}
	f, err := l.cfg.Flows.Load(r.Context(), sealed, read(r, flowCookie))
	if err != nil {
		return l.ended(w, r, err)
	}
	r = inFlow(r, f)
	known, err := l.remembered(r)
	if err != nil {
		return err
	}
	choosing := chooses(r, f, s, known)
	// Signed in meanwhile, in another tab: what the flow was begun for is there. A session
	// from before it was not good enough, or there would be no flow.
	if !f.Need.Select && !f.Need.Login && since(s, f) {
		return page.Onward(w, r, f.Need.ReturnTo)
	}
	if err := l.bind(w, r, f); err != nil {
		return err
	}
	r = inFlow(r, f)
	if joining(f, s) && !r.URL.Query().Has("another") {
		return page.Onward(w, r, page.Base(r)+RegisterPath+"?"+url.Values{"flow": {f.Sealed()}}.Encode())
	}
	if choosing {
		return l.showAccounts(w, r, f, s, u, known)
	}
	if r.URL.Query().Has("again") {
		if err := l.cfg.Flows.Restart(f); err != nil {
			return err
		}
	} else if s != nil && f.Step() == authn.StepPassword && !named(r.URL.Query()) {
		f.Browser.SessionID, f.Browser.Trust, f.Stay = s.ID, read(r, trustCookie), s.Remembered
		if _, err := l.cfg.Flows.Raise(r.Context(), f, s); errors.Is(err, identity.ErrDenied) {
			return refused(w, r, err)
		} else if err != nil {
			return err
		}
	}
	f.Browser.Approver = read(r, ApproverCookie)
	if s != nil {
		f.Browser.SessionID = s.ID
	}
	if f.Shown(l.cfg.DB.Now()) && !r.URL.Query().Has("again") {
		return l.showCertificate(w, r, f)
	}
	if f.Step() != authn.StepPassword {
		return l.showStep(w, r, f, f.Step(), assurance.Method(r.URL.Query().Get("way")))
	}
	return l.showForm(w, r, f, http.StatusOK, fill(r, f, known), nil)
}

// showStep asks for what comes after the first proof; way is with which second factor the person wants to go on,
// "" for the best they have.
func (l *Login) showStep(w http.ResponseWriter, r *http.Request, f *authn.Flow, step authn.Step, way assurance.Method) error {
	switch step {
	case authn.StepMail:
		return l.showMail(w, r, f, http.StatusOK, nil)
	case authn.StepSecond:
		return l.showSecond(w, r, f, http.StatusOK, way, nil)
	case authn.StepRenew:
		return l.showRenew(w, r, f, http.StatusOK, nil)
	case authn.StepLost:
		return l.showLost(w, r, f)
	}
	return fmt.Errorf("sign-in step %q has no page", step)
}

// inFlow is r with what f says of the language, which can be changed at the form.
func inFlow(r *http.Request, f *authn.Flow) *http.Request {
	return page.Within(r, f.Need.Locales, page.Base(r)+"/login?flow="+url.QueryEscape(f.Sealed()))
}

// begin loads the flow of a posted form for a step. Without a flow the answer is written, or
// err says why not. giveBack is for attempts that were honest: see admit.
func (l *Login) begin(w http.ResponseWriter, r *http.Request) (f *authn.Flow, giveBack func(), err error) {
	f, err = l.cfg.Flows.Load(r.Context(), r.PostForm.Get("flow"), read(r, flowCookie))
	if err != nil {
		return nil, nil, l.ended(w, r, err)
	}
	f.Browser.Device, f.Browser.Trust, f.Browser.Approver = read(r, deviceCookie), read(r, trustCookie), read(r, ApproverCookie)
	wait, giveBack := l.admitAs(l.keyOf(r, f, ruleAddress), ruleAddress)
	if wait > 0 {
		return nil, nil, holdBack(w, r, f, wait)
	}
	if read(r, sessionCookie) != "" {
		limit.Leave(w) // the leader may have to be asked
	}
	s, _, err := l.signedIn(r)
	if err != nil {
		giveBack()
		return nil, nil, err
	}
	if r.PostForm.Has("trust") {
		called := r.UserAgent()
		if l.cfg.Called != nil {
			called = l.cfg.Called(r)
		}
		f.Browser.Remember = identity.Printable(called, maxDeviceName)
	}
	if f.Step() == authn.StepPassword {
		f.Stay = r.PostForm.Has("stay")
	}
	if s != nil {
		f.Browser.SessionID = s.ID
	}
	return f, giveBack, nil
}

// crowdWait is when strangers who find a crowd at the gate may come again.
const crowdWait = 5 * time.Second

// password takes the form. Strangers come through a gate, in which nothing is waited for: neither
// a line, nor the leader, nor that an answer is taken.
func (l *Login) password(w http.ResponseWriter, r *http.Request) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	if r.PostForm.Has("longer") || r.PostForm.Get("username") != "" && r.PostForm.Get("password") == "" {
		return l.longer(w, r)
	}
	leave := func() {}
	if l.cfg.Flows.KnownIn(identity.TenantFrom(r.Context()).ID, read(r, deviceCookie)) == "" {
		var err error
		switch leave, err = l.gate.Enter(r.Context(), identity.RequestFrom(r.Context()).Network()); {
		case errors.Is(err, limit.ErrFull):
			l.limited.WithLabelValues(ruleCrowd).Inc()
			w.Header().Set("Retry-After", problem.RetryAfter(crowdWait))
			return waitPage.Write(w, r, http.StatusServiceUnavailable, held(r, "crowd.detail"), r.PostForm.Get("flow"), "")
		case err != nil:
			return nil // they have gone: there is nobody to answer
		}
		defer leave()
		w = limit.Leaving(w, leave)
	}
	return l.step(w, r, func(f *authn.Flow) (authn.Result, error) {
		f.Admitted = leave
		return l.cfg.Flows.Password(r.Context(), f, r.PostForm.Get("username"), r.PostForm.Get("password"))
	}, func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error {
		return l.showForm(w, r, f, status, r.PostForm.Get("username"), faults)
	})
}

// longer shows what the flow waits for once more: to who asks for more time, and to a browser without scripts that
// has sent the name alone and is asked for the password, too. What was typed as a name is there again. It
// looks nobody up and counts nothing: every name gets the same answer.
func (l *Login) longer(w http.ResponseWriter, r *http.Request) error {
	f, err := l.cfg.Flows.Load(r.Context(), r.PostForm.Get("flow"), read(r, flowCookie))
	if err == nil && !f.Bound() {
		err = authn.ErrDeadFlow
	}
	if err != nil {
		return l.ended(w, r, err)
	}
	if err := l.cfg.Flows.Prolong(f); err != nil {
		return err
	}
	r = inFlow(r, f)
	f.Browser.Approver = read(r, ApproverCookie)
	if f.Step() != authn.StepPassword {
		return l.showStep(w, r, f, f.Step(), assurance.Method(r.PostForm.Get("way")))
	}
	f.Stay = r.PostForm.Has("stay")
	return l.showForm(w, r, f, http.StatusOK, r.PostForm.Get("username"), nil)
}

// step takes one step of the flow in a posted form, and shows what comes next, or the same
// form again with what was wrong.
func (l *Login) step(w http.ResponseWriter, r *http.Request, take func(f *authn.Flow) (authn.Result, error), again func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error) error {
	if _, err := page.Form(r); err != nil {
		return err
	}
	if r.PostForm.Has("longer") {
		return l.longer(w, r)
	}
	f, giveBack, err := l.begin(w, r)
	if f == nil {
		return err
	}
	done, err := take(f)
	if !guessed(err) {
		giveBack()
	}
	if errors.Is(err, identity.ErrLimited) { // what a flood is answered with: before r costs more
		l.limited.WithLabelValues(ruleName).Inc()
		return holdBack(w, r, f, problem.Of(r.Context(), err).RetryAfter)
	}
	r = inFlow(r, f)
	switch {
	case err == nil:
		return l.goOn(w, r, f, done)
	case errors.Is(err, authn.ErrDeadFlow):
		return l.ended(w, r, err)
	case errors.Is(err, identity.ErrDenied):
		return refused(w, r, err)
	case errors.Is(err, identity.ErrInvalid), errors.Is(err, identity.ErrUnauthenticated):
		return l.asAgain(w, r, f, err, again)
	}
	return err
}

// asAgain shows the form of f again with what was wrong, and with time from now on.
func (l *Login) asAgain(w http.ResponseWriter, r *http.Request, f *authn.Flow, err error, again func(r *http.Request, f *authn.Flow, status int, faults []*identity.Error) error) error {
	status, faults := http.StatusBadRequest, identity.Errors(err)
	if errors.Is(err, identity.ErrUnauthenticated) {
		// RFC 9110 §11.6.1 wants a challenge with 401; browsers pass over schemes they do not know.
		w.Header().Set("WWW-Authenticate", "Form")
		status = http.StatusUnauthorized
	}
	if err := l.cfg.Flows.Prolong(f); err != nil {
		return err
	}
	return again(inFlow(r, f), f, status, faults)
}

// goOn shows the step that comes next, or leads on with the session that has been made.
func (l *Login) goOn(w http.ResponseWriter, r *http.Request, f *authn.Flow, done authn.Result) error {
	if r.PostForm.Get("makes") != "" { // said by the script of the first form only
		write(w, r, makesCookie, "yes", 0)
	}
	switch {
	case done.Step == authn.StepSecond && f.Asked != nil: // an address of its own: to load it again asks nobody again
		return page.Onward(w, r, page.Base(r)+wayTo(f, assurance.Approval))
	case done.Step != authn.StepDone:
		return l.showStep(w, r, f, done.Step, "")
	}
	write(w, r, sessionCookie, done.Cookie, done.CookieFor)
	write(w, r, deviceCookie, done.Device, deviceLifetime)
	if f.Browser.Approver != "" {
		write(w, r, ApproverCookie, f.Browser.Approver, approval.CookieLifetime)
	}
	if done.Trust != "" {
		write(w, r, trustCookie, done.Trust, done.TrustFor)
	}
	l.cfg.Memory.Remember(w, r, done.Session.UserID, began(f))
	if done.Enrol != nil {
		return l.showEnrol(w, r, f, done.ReturnTo, done.Enrol)
	}
	return leave(w, r, f.Need.Application, l.onward(r, f, done))
}

// refused tells somebody who has proved who they are why that does not let them in. Whoever has
// proved nothing never gets here.
func refused(w http.ResponseWriter, r *http.Request, err error) error {
	view := messageView{
		Title: site.Text(r, "refused.title"), Detail: site.Text(r, "refused.detail"),
		Link: template.URL(page.Base(r) + "/"), Label: site.Text(r, "error.home"), Reference: identity.RequestFrom(r.Context()).ID,
	}
	for _, e := range identity.Errors(err) {
		view.Detail += " " + page.Detail(r, e)
	}
	return messagePage.Write(w, r, http.StatusForbidden, view)
}

// guessed reports whether an attempt with this outcome may have been a guess.
func guessed(err error) bool {
	return errors.Is(err, identity.ErrUnauthenticated) || errors.Is(err, identity.ErrLimited)
}

// maxDeviceName bounds the name that a trusted device gets.
const maxDeviceName = 80
