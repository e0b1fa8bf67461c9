package alarm

import (
	"context"
	"embed"
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

//go:embed templates texts
var files embed.FS

var english = page.Texts{
	"alarm.title":   "This wasn't me",
	"alarm.heading": "Was it not you?",
	"alarm.lead":    "If somebody else may have been in your account, lock it down now.",
	"alarm.what":    "Then everybody is signed out of your account, on every device and in every application. No device is trusted any more, and access tokens stop working. The next sign-in also needs a code that is sent to your email address, if that has not changed since. You must choose a new password. A recovery of the account that is under way is stopped. Ways to sign in that were added since what the message is about are removed.",
	"alarm.button":  "Lock my account down",
	"alarm.back":    "It was me: change nothing",

	"raised.title":         "Your account is locked down",
	"raised.lead":          "Everybody is signed out of your account. Sign in now to have it for yourself again.",
	"raised.both":          "The sign-in asks for a code, which is sent to your email address, and then for another password.",
	"raised.code":          "The sign-in asks for a code, which is sent to your email address.",
	"raised.password":      "The sign-in asks for another password.",
	"raised.forgotten":     "If you do not know your present password, take “Forgotten your password?”. If you cannot get in that way either, ask your administrator.",
	"raised.administrator": "If you cannot sign in any more, ask your administrator.",
	"raised.link":          "Sign in",
	"raised.recover":       "Forgotten your password?",

	"dead.title":   "This link no longer works",
	"dead.detail":  "It has been used, or is too old. If somebody else may be in your account, sign in and change your password. If you cannot sign in any more, get back in, or ask your administrator.",
	"dead.recover": "Get back in",
}

var site = page.NewSite(files, english)

type (
	askView  struct{ Action, Token, Home string }
	doneView struct {
		SignIn   string
		Code     bool   // the sign-in asks for the mailbox
		Password bool   // and for another password
		Recover  string // where who has forgotten the present one goes on; "": that is not open
	}
	deadView struct{ SignIn, Recover string }
)

var (
	askPage  = page.Page[askView](site, "templates/ask.html")
	donePage = page.Page[doneView](site, "templates/done.html")
	deadPage = page.Page[deadView](site, "templates/dead.html")
)

// Path is where the page is, within a tenant; the token is its query parameter "token".
const Path = "/account/not-me"

// Link returns the address that a letter holds.
func Link(t identity.Tenant, token string) string { return t.Issuer + Path + "?token=" + token }

const maxForm = 8 << 10 // bytes

// Config is what the page works with; all of it is needed.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring
	// Also does within the transaction what else is due when an account is locked down:
	// it revokes what applications hold.
	Also func(tx *fsm.Tx, tenant, userID string) error
	// Modern makes sure that every member heeds what is written.
	Modern func(context.Context) error
	// Mails says whether mail of a tenant goes anywhere.
	Mails func(tx *fsm.Tx, tenant string) (bool, error)
}

// Pages serve the page.
type Pages struct{ cfg Config }

// New returns the pages.
func New(cfg Config) *Pages { return &Pages{cfg} }

// Routes mounts the page under the paths within a tenant.
func (p *Pages) Routes(mux *http.ServeMux) {
	mux.Handle("GET "+Path, page.Handle(p.ask))
	mux.Handle("POST "+Path, page.Handle(p.raise))
}

func (p *Pages) ask(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	tenant := identity.TenantFrom(r.Context()).ID
	err := p.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error { return alarm.Look(tx, p.cfg.Ring, tenant, token) })
	if err != nil {
		return dead(w, r, err)
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the token
	base := page.Base(r)
	return askPage.Write(w, r, http.StatusOK, askView{Action: base + Path, Token: token, Home: base + "/"})
}

func (p *Pages) raise(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return identity.Invalid("", "Your browser sent something that could not be read. Go back and try again.")
	}
	ctx, tenant := r.Context(), identity.TenantFrom(r.Context()).ID
	token := r.PostForm.Get("token")
	// First without a proposal: a stranger's guess costs no entry.
	err := p.cfg.DB.Read(ctx, func(tx *fsm.Tx) error { return alarm.Look(tx, p.cfg.Ring, tenant, token) })
	if err != nil {
		return dead(w, r, err)
	}
	if err := p.cfg.Modern(ctx); err != nil {
		return err
	}
	var view doneView
	err = p.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		mails, err := p.cfg.Mails(tx, tenant)
		if err != nil {
			return err
		}
		user, err := alarm.Raise(tx, p.cfg.Ring, tenant, token, mails)
		if err == nil {
			err = p.cfg.Also(tx, tenant, user)
		}
		if err == nil {
			view, err = wayBack(tx, page.Base(r), tenant, user, mails)
		}
		return err
	})
	if err != nil {
		return dead(w, r, err)
	}
	return donePage.Write(w, r, http.StatusOK, view)
}

// wayBack is how a user gets back in whose account has been locked, where mail is sent or not.
func wayBack(tx *fsm.Tx, base, tenant, userID string, mails bool) (doneView, error) {
	view := doneView{SignIn: base + "/login"}
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return view, err
	}
	bar, err := regain.Locked(tx, u)
	if err != nil || bar == nil {
		return view, err
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return view, err
	}
	view.Code, view.Password = bar.Mail != "", bar.Password
	if view.Password && s.LocalLogin && s.ForgotPassword && u.EmailVerified && mails {
		view.Recover = base + "/recover"
	}
	return view, nil
}

// dead says that a link is not good, and where to go instead; other errors stay errors.
func dead(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	base := page.Base(r)
	return deadPage.Write(w, r, http.StatusGone, deadView{SignIn: base + "/login", Recover: base + "/recover"})
}
