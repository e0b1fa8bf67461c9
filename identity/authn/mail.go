package authn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/directory"
)

// A Letter is what is mailed to somebody who wants to sign in.
type Letter struct {
	Tenant      string
	User        *directory.User // nil: nobody, and nothing is to be sent; it takes as long
	Code        string          // six digits; "": the tenant wants links alone
	Token       string          // for a link to the flow, to be followed in the same browser; "": codes alone
	Flow        string          // the sealed flow that both belong to
	Application string
	Locales     string
	Recover     bool   // it is to get back in, and choose another password
	Proved      bool   // who asks has proved who they are by something else
	Browser     string // of a browser in which the user has signed in before, its name; "": another
}

// What a code is for; one is of no use for the other.
func (f *Flow) mailFor(userID string) mailcode.For {
	purpose := "sign in"
	if f.Need.Recover || f.Need.Lost {
		purpose = "recover"
	}
	return mailcode.For{Tenant: f.Need.Tenant, UserID: userID, Purpose: purpose}
}

// Mail takes the first step by mail: it sends a code, a link, or both, as Opening.Letter says, to the
// address of the user who is named, and the flow then waits for either (see MailCode). Nobody is told whether there
// is such a user, or whether they have an address that was verified: a code that nobody gets
// is waited for all the same. It costs no log entry. Errors are those of Password.
func (fs *Flows) Mail(ctx context.Context, f *Flow, username string) (Result, error) {
	if !f.Bound() || f.Step() != StepPassword && f.Step() != StepMail || fs.cfg.SendMail == nil {
		return Result{}, dead("it is not at this step")
	}
	if f.UserID != "" { // who it is has been proved, and a mail is asked for besides
		username = f.Login
	} else if username == "" || len(username) > maxLogin {
		return Result{}, identity.Invalid("username", "Enter your username or email address.")
	}
	open, err := fs.Open(ctx, f)
	if err != nil || !open.Mail {
		return Result{}, cmp.Or(err, errWay)
	}
	f.Login, f.At = username, StepMail
	known, err := fs.lookUp(ctx, f, assurance.Mail, fs.mailed(f))
	if err != nil {
		return Result{}, err
	}
	if known.user != nil && (known.user.Disabled || !known.user.EmailVerified && !f.Locked()) {
		known.user = nil
	}
	sent, err := fs.codes.New(f.mailFor(known.userID()))
	if err != nil {
		return Result{}, err
	}
	f.Challenge = sent.State
	if err := fs.seal(f); err != nil {
		return Result{}, err
	}
	if !open.Letter.Code {
		sent.Code = ""
	}
	if !open.Letter.Link {
		sent.Token = ""
	}
	l := Letter{
		Tenant: f.Need.Tenant, User: known.user, Code: sent.Code, Token: sent.Token, Flow: f.sealed,
		Application: f.Need.Application, Locales: f.Need.Locales, Recover: f.Need.Recover || f.Need.Lost, Proved: f.UserID != "",
	}
	if d, ok := fs.deviceOf(f, known.userID()); ok {
		l.Browser = d.Nonce
	}
	fs.cfg.SendMail(ctx, l)
	return Result{Step: StepMail, Flow: f.sealed}, nil
}

// MailCode takes the step after Mail with the code, or the token of the link, whichever the tenant
// wants now. Errors are those of Password.
func (fs *Flows) MailCode(ctx context.Context, f *Flow, code string) (Result, error) {
	return fs.measured(assurance.Mail, func() (Result, string, error) { return fs.mailCode(ctx, f, code) })
}

func (fs *Flows) mailCode(ctx context.Context, f *Flow, code string) (Result, string, error) {
	if !f.Bound() || f.Step() != StepMail || len(f.Challenge) == 0 {
		return Result{}, "dead_flow", dead("it is not at this step")
	}
	if code = strings.TrimSpace(code); code == "" || len(code) > maxCode {
		return Result{}, "malformed", identity.Invalid("code", "Enter the code.")
	}
	open, err := fs.Open(ctx, f)
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	var g *guess
	link := mailcode.IsToken(code)
	if !link {
		if g, err = fs.guess(ctx, f, f.Login, ""); err != nil {
			return Result{}, reasonLimited, err
		}
	}
	known, err := fs.lookUp(ctx, f, assurance.Mail, fs.mailed(f))
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	check := func() error { return fs.codes.Check(f.Challenge, f.mailFor(known.userID()), open.Letter, code) }
	failure := reasonCode
	if link { // nobody guesses that: who follows one does not wait for those who guess, and only a wrong one counts
		err = check()
		failure, check = known.failure(err, reasonCode), func() error { return err }
	}
	if failure != "" {
		failure, err = fs.attempt(ctx, f, known, reasonCode, g, check)
	}
	if errors.Is(err, identity.ErrUnauthenticated) { // one sentence, whoever it is
		err = identity.Unauthenticated("That code is not right, or it is too old. Check it, or ask for a new one.")
	}
	if err != nil {
		return Result{}, cmp.Or(failure, reasonOf(err)), fmt.Errorf("check mail code: %w", err)
	}
	f.UserID = known.user.ID
	if f.Need.Recover && fs.cfg.Warn != nil { // before they can end the sessions of whoever is to be told
		fs.cfg.Warn(f.Need.Tenant, f.UserID, f.ID)
	}
	return fs.passed(ctx, f, assurance.Factor{Method: assurance.Mail, Ref: known.user.Email})
}

// mailed finds to whom a code goes: who lost a second factor, or whose account is locked, has proved
// who they are.
func (fs *Flows) mailed(f *Flow) func(tx *fsm.Tx) (*directory.User, error) {
	if f.UserID != "" {
		return fs.claimant(f)
	}
	return fs.byLogin(f)
}

// byLogin finds the user whose name was typed.
func (fs *Flows) byLogin(f *Flow) func(tx *fsm.Tx) (*directory.User, error) {
	return func(tx *fsm.Tx) (*directory.User, error) { return directory.UserByLogin(tx, f.Need.Tenant, f.Login) }
}
