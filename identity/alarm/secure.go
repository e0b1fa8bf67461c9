package alarm

import (
	"errors"
	"iter"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

// A Span is the time in which somebody else may have been in an account.
type Span struct {
	Since   time.Time // what was added from then on to sign in with goes
	Until   time.Time // from then on the person had it again; zero: they have not yet
	Address time.Time // an address that it got from then on, until Until, is not for sure its person's
}

// skew is by how much the clocks of nodes may differ.
const skew = time.Minute

// lookBack is how long before an event that was not their doing an address may have been changed which a person who
// is signed in says it of.
const lookBack = 24 * time.Hour

// SpanOf returns the span of an event which a user, signed in with the session speaks, says was not their doing. It
// begins with the sign-in of the session that did it, where that is another one and still known: whoever it was may
// have done more, and people disown what stands on top. Else it begins with the event. An address is looked back at
// for a day at least, whoever changed it: the intruder may have come twice, and an account that is locked to their mailbox
// is theirs. Of one that the person changed themselves that day it costs that the lock asks for no mailbox.
func SpanOf(tx *fsm.Tx, tenant, userID, speaks string, e *event.Event) (Span, error) {
	s, err := spanOf(tx, tenant, userID, e)
	if err != nil {
		return s, err
	}
	if id := e.Actor.SessionID; id != "" && id != speaks {
		begun, err := begin(tx, tenant, userID, id)
		if err != nil {
			return s, err
		}
		if !begun.IsZero() && begun.Before(e.Time) {
			s.Since = begun.Add(-skew)
		}
	}
	if s.Address = e.Time.Add(-lookBack - skew); s.Since.Before(s.Address) {
		s.Address = s.Since
	}
	return s, nil
}

// SpanOfApproval returns the span of a sign-in that asked the user to approve it, which they say was not their doing. Nobody
// got in by one that they did not approve, and so its span begins now. Another tab or browser of theirs may have approved it before
// they say so: then given is true, and the span begins with the approval, if it is of the last day, and not with the sign-in of that
// browser, which is theirs.
func SpanOfApproval(tx *fsm.Tx, tenant, userID, id string) (s Span, given bool, err error) {
	since := tx.Now().Add(-lookBack)
	for e, err := range happened(tx, tenant, userID) {
		if err != nil {
			return s, false, err
		}
		if e.Time.Before(since) {
			break
		}
		if e.Type == event.ApprovalGiven && e.Target.ID == id {
			s, err = SpanOf(tx, tenant, userID, e.Actor.SessionID, e)
			return s, true, err
		}
	}
	return Span{Since: tx.Now(), Address: since}, false, nil
}

// begin returns when somebody signed in to a session of a user; zero if it is not remembered.
func begin(tx *fsm.Tx, tenant, userID, sessionID string) (at time.Time, err error) {
	for e, err := range happened(tx, tenant, userID) {
		if err != nil {
			return at, err
		}
		if e.Type == event.SessionStarted && e.Target.ID == sessionID {
			return e.Time, nil
		}
	}
	return at, nil
}

// happened yields what happened to a user, the latest first.
func happened(tx *fsm.Tx, tenant, userID string) iter.Seq2[*event.Event, error] {
	return func(yield func(*event.Event, error) bool) {
		for after := ""; ; {
			page, next, err := event.About(tx, tenant, userID, after, 100)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page {
				if !yield(&page[i], nil) {
					return
				}
			}
			if after = next; next == "" {
				return
			}
		}
	}
}

// spanOf returns the span of an event by itself: from it, or a little before, for the clocks of nodes differ, to the
// first alarm that was raised by a letter after it, to the address that the account had then. What is said by who is
// signed in, or by who reads the mail of an address that came later, ends no span: it may be the intruder who says it,
// and goes on adding.
func spanOf(tx *fsm.Tx, tenant, userID string, e *event.Event) (Span, error) {
	since := e.Time.Add(-skew)
	s := Span{Since: since, Address: since}
	changed, err := readdressed(tx, tenant, userID, e.Time)
	if err != nil {
		return s, err
	}
	for u, err := range spent.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID))) {
		if err != nil {
			return s, err
		}
		if u.At.After(e.Time) && (changed.IsZero() || u.At.Before(changed)) && (s.Until.IsZero() || u.At.Before(s.Until)) {
			s.Until = u.At
		}
	}
	return s, nil
}

// readdressed returns when a user's address was changed first after a time; zero if it was not.
func readdressed(tx *fsm.Tx, tenant, userID string, after time.Time) (at time.Time, err error) {
	for e, err := range happened(tx, tenant, userID) {
		if err != nil || !e.Time.After(after) {
			return at, err
		}
		if e.Type == event.UserUpdated && e.Changed("email") {
			at = e.Time
		}
	}
	return at, nil
}

// about returns the span of a token's event. One of long ago spans nothing. It does not look back: the letter has
// come to the address that was the account's then, to whoever reads mail there, and is no way for them to take more
// away than it says.
func about(tx *fsm.Tx, tenant string, t *token) (Span, error) {
	e, err := event.Mention(tx, tenant, t.UserID, t.Event)
	if errors.Is(err, fsm.ErrNotFound) {
		return Span{tx.Now(), tx.Now(), tx.Now()}, nil
	}
	if err != nil {
		return Span{}, err
	}
	return spanOf(tx, tenant, t.UserID, e)
}

// mailbox returns the address at which the user reads mail for sure: theirs, if it has not got into the account
// within span, by whatever way (a change that both mailboxes confirmed, the admin API, SCIM, a directory). One that did
// is confirmed no longer, for it may be the intruder's.
func mailbox(tx *fsm.Tx, tenant, userID string, span Span) (string, error) {
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return "", err
	}
	for e, err := range happened(tx, tenant, userID) {
		switch {
		case err != nil:
			return "", err
		case e.Time.Before(span.Address):
			return u.Email, nil
		case !span.Until.IsZero() && !e.Time.Before(span.Until):
		case e.Type == event.UserUpdated && e.Changed("email"): // which every change of an address writes
			_, err := directory.UpdateUser(tx, tenant, userID, 0, func(u *directory.User) error { u.EmailVerified = false; return nil })
			return "", err
		}
	}
	return u.Email, nil
}

// Secure shuts out of a user's account whoever else may be in it: the ways to sign in that were added within span
// go (else whoever added them comes in by them, and their person is asked for them), and every session but keep; no
// device is trusted or known and no browser approves sign-ins any more, access tokens are gone, a change of the address is
// given up, a recovery that waits is stopped, and the password must be changed. If the person reads the mail of
// their address, until then nobody comes in without that mailbox (see [regain.Locked]): whoever was in may know the
// password as well, and must not be the first to choose another. why is a few words for the record. What
// applications hold is the caller's.
func Secure(tx *fsm.Tx, tenant, userID, keep, why string, span Span, reads bool) error {
	if err := factor.RemoveBetween(tx, tenant, userID, span.Since, span.Until); err != nil {
		return err
	}
	if _, err := session.EndOthersOf(tx, tenant, userID, keep); err != nil {
		return err
	}
	if _, err := device.RevokeAll(tx, tenant, userID, why); err != nil {
		return err
	}
	if _, err := regain.Stop(tx, tenant, userID, why); err != nil {
		return err
	}
	if err := approval.RemoveAll(tx, tenant, userID, why); err != nil {
		return err
	}
	if err := pending.CancelEmailChange(tx, tenant, userID); err != nil {
		return err
	}
	if err := credential.RevokeTokens(tx, tenant, userID); err != nil {
		return err
	}
	mail, err := mailbox(tx, tenant, userID, span)
	if err != nil {
		return err
	}
	if !reads {
		mail = ""
	}
	if err := regain.Lock(tx, tenant, userID, mail); err != nil {
		return err
	}
	set, err := credential.PasswordSet(tx, tenant, userID)
	if err != nil || set.IsZero() {
		return err
	}
	return credential.RequireChange(tx, tenant, userID)
}
