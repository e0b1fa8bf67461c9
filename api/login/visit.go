package login

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/session"
)

// RegisterPath is where people make themselves an account, within a tenant. The page is that
// of another room, which takes a flow in the query parameter of that name.
const RegisterPath = "/register"

// since says whether somebody has signed in since f was begun, in another tab.
func since(s *session.Session, f *authn.Flow) bool { return s != nil && s.AuthTime.After(f.Begun) }

// joining reports whether the application of f wants the person to make themselves an account,
// and they have not done anything yet.
func joining(f *authn.Flow, s *session.Session) bool {
	return f.Need.Create && f.Step() == authn.StepPassword && !since(s, f)
}

// purpose says what the person of f proves who they are for, as the application is called or, of who
// is signed in already, as their own pages stand; "" if it is not known.
func purpose(r *http.Request, f *authn.Flow) string {
	own, ok := strings.CutPrefix(f.Need.ReturnTo, page.Base(r)+"/account/")
	switch {
	case f.Need.Application != "":
		return site.Text(r, "sign_in.continue", f.Need.Application)
	case !ok || f.Need.Recover || !f.Need.Login && f.Session == "":
		return ""
	case strings.HasPrefix(own, "security"):
		return site.Text(r, "purpose.ways")
	}
	return site.Text(r, "purpose.account")
}

// who says as whom the person of f goes on: who is signed in already, or was named; "" if neither is.
func (l *Login) who(r *http.Request, f *authn.Flow) (string, error) {
	if f.Session != "" {
		_, u, err := l.signedIn(r)
		if err != nil || u == nil || u.ID != f.UserID {
			return "", err
		}
		return site.Text(r, "second.signed_in", shown(u).Login), nil
	}
	if f.Login == "" {
		return "", nil
	}
	return site.Text(r, "second.as", page.Typed(f.Login)), nil
}

// bind ties a flow that is not bound yet to this browser, and gives it time from now on.
func (l *Login) bind(w http.ResponseWriter, r *http.Request, f *authn.Flow) error {
	if f.Bound() {
		return l.cfg.Flows.Prolong(f)
	}
	binding, err := l.cfg.Flows.Bind(f, read(r, flowCookie))
	if err == nil {
		write(w, r, flowCookie, binding, 0)
	}
	return err
}

// Visit returns the flow that a page beside the sign-in form ends: the sealed one, bound to
// this browser, or a new one to the start page where that one is none, or has ended.
func (l *Login) Visit(w http.ResponseWriter, r *http.Request, sealed string) (*authn.Flow, error) {
	f, err := l.cfg.Flows.Load(r.Context(), sealed, read(r, flowCookie))
	if errors.Is(err, authn.ErrDeadFlow) {
		if sealed, err = l.cfg.Flows.Begin(r.Context(), authn.Need{ReturnTo: page.Base(r) + "/"}); err != nil {
			return nil, err
		}
		f, err = l.cfg.Flows.Load(r.Context(), sealed, "")
	}
	if err != nil {
		return nil, err
	}
	if err := l.bind(w, r, f); err != nil {
		return nil, err
	}
	s, _, err := l.signedIn(r)
	if s != nil {
		f.Browser.SessionID = s.ID
	}
	return f, err
}

// Enter leads on with the session that has been made.
func (l *Login) Enter(w http.ResponseWriter, r *http.Request, f *authn.Flow, done authn.Result) error {
	return l.goOn(w, r, f, done)
}

// EnterHome leads on to the start page with a session that a page beside any flow has made, of
// somebody who came in by method.
func (l *Login) EnterHome(w http.ResponseWriter, r *http.Request, started *session.Started, method assurance.Method) error {
	cookie, err := l.cfg.Sessions.Cookie(started)
	if err != nil {
		return err
	}
	write(w, r, sessionCookie, cookie, 0)
	l.cfg.Memory.Remember(w, r, started.Session.UserID, method)
	return leave(w, r, "", page.Base(r)+"/")
}

// leave leads on to a path of ours, from which it may go to an application.
func leave(w http.ResponseWriter, r *http.Request, application, to string) error {
	page.Leave(w, to)
	return leavingStill.Write(w, page.Here(r, ""), http.StatusOK, leavingView{Application: application, Target: page.Gap}, "", to)
}

// DeadLink tells who has followed a link that it does not work, and what to do.
func DeadLink(w http.ResponseWriter, r *http.Request, detail string) error {
	return tell(w, r, http.StatusGone, "link_dead.title", detail)
}

// Admit counts an attempt of r's address against rule, as attempts to sign in are: wait says
// for how long it is refused; otherwise giveBack undoes the count, once the attempt has proved
// to be honest.
func (l *Login) Admit(r *http.Request, rule string) (wait time.Duration, giveBack func()) {
	return l.admit(r, rule)
}

// timed is when a form of f warns: about two minutes before its time is up, at the end of the full minutes that its class says.
func (l *Login) timed(f *authn.Flow) timed {
	left, more := l.cfg.Flows.Left(f)
	return timed{fmt.Sprint("in", min(max(0, int((left-90*time.Second)/time.Minute)), 13)), !more}
}
