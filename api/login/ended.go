package login

import (
	"errors"
	"html/template"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
)

// ended is flowFault for the flow that r carries. Who took too long, or comes back to it with
// the back button, is led on to what they came for: it asks them to sign in again if it has to.
func (l *Login) ended(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, authn.ErrDeadFlow) {
		return err
	}
	sealed := r.URL.Query().Get("flow")
	if r.Method == http.MethodPost {
		sealed = r.PostForm.Get("flow")
	}
	e, fault := l.cfg.Flows.Ended(r.Context(), sealed, read(r, flowCookie))
	if fault != nil {
		return fault
	}
	if e == nil {
		return flowFault(w, r, err)
	}
	title, detail, label := "late.title", "late.detail", "late.link"
	if e.Used {
		title, detail, label = "used.title", "used.detail", "continue"
	}
	return messagePage.Write(w, page.Here(r, page.Base(r)+"/login?flow="+sealed), http.StatusGone, messageView{
		Title: site.Text(r, title), Detail: site.Text(r, detail),
		Link: template.URL(e.ReturnTo), Label: site.Text(r, label),
	})
}

// flowFault shows that a flow has ended, which is no fault of ours; other errors stay errors.
func flowFault(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, authn.ErrDeadFlow) {
		return err
	}
	return tell(w, r, http.StatusGone, "dead.title", site.Text(r, "dead.detail"))
}

// tell shows a page that says detail under the title of that key, and leads home.
func tell(w http.ResponseWriter, r *http.Request, status int, title, detail string) error {
	return messagePage.Write(w, r, status, messageView{
		Title: site.Text(r, title), Detail: detail, Link: template.URL(page.Base(r) + "/"), Label: site.Text(r, "error.home"),
	})
}

// onward is where a sign-in leads that is done: what the person came for, or, if they have
// typed a password where they could have a passkey, the offer to make one on the way.
func (l *Login) onward(r *http.Request, f *authn.Flow, done authn.Result) string {
	makes := r.PostForm.Get("makes") != "" || read(r, makesCookie) != ""
	if l.cfg.Offer != nil && makes && assurance.Has(f.Factors, assurance.Password) && !f.Need.Recover {
		if to := l.cfg.Offer(r, &done.Session, done.ReturnTo); to != "" {
			return to
		}
	}
	return done.ReturnTo
}
