package notify

import (
	"time"

	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/regain"
)

// A notice is a letter that an event calls for.
type notice struct {
	letter letter.Name
	user   string      // ID
	kind   letter.Kind // of what has the name what
	what   string
	former string // another address that it goes to as well
	hidden bool   // where from is not the person's to know

	scopes string    // of a token, apart by spaces
	until  time.Time // it is good; zero: for ever

	invitation string // ID of one that is to be mailed to whom it invites, who is no user yet
	to         string // its address
}

// letters says which events of a user call for which letter by themselves.
var letters = map[event.Type]letter.Name{
	event.PasswordSet:          letter.PasswordSet,
	event.PasswordRemoved:      letter.PasswordRemoved,
	event.FactorAdded:          letter.FactorAdded,
	event.FactorRemoved:        letter.FactorRemoved,
	event.RecoveryCodeUsed:     letter.CodesSpent,
	event.RecoveryCodesCreated: letter.RecoveryCodesMade,
	event.AlarmRaised:          letter.AlarmRaised,
	event.TokenCreated:         letter.TokenMade,

	// Of rooms that bring these types with them.
	event.PasskeyCreated:    letter.FactorAdded,
	event.PasskeyDeleted:    letter.FactorRemoved,
	event.PasskeySuspected:  letter.PasskeySuspicious,
	event.RecoveryStarted:   letter.RecoveryStarted,
	event.RecoveryCancelled: letter.RecoveryCancelled,
	event.RecoveryFinished:  letter.RecoveryFinished,

	event.CertificateAdded:   letter.FactorAdded,
	event.CertificateRemoved: letter.FactorRemoved,
}

// noticeOf returns what an event calls for, or nil. Sign-ins are not looked at here.
func noticeOf(e *event.Event) *notice {
	if (e.Type == event.InvitationCreated || e.Type == event.InvitationSent) && e.Data["mail"] != "" {
		return &notice{letter: letter.Invitation, invitation: e.Target.ID, to: e.Target.Name}
	}
	n := &notice{user: userOf(e), what: e.Data["name"]}
	if e.Data[regain.QuietKey] != "" {
		return nil
	}
	if ready, err := time.Parse(time.RFC3339, e.Data["ready"]); err == nil && e.Type == event.RecoveryStarted {
		n.what = letter.Moment(ready)
	}
	if n.what == "" && e.Target.Kind != "user" {
		n.what = e.Target.Name
	}
	n.kind = kindOf(e)
	if e.Type == event.TokenCreated { // an event of an older release says neither
		n.scopes = e.Data["scopes"]
		n.until, _ = time.Parse(time.RFC3339, e.Data["expires"])
	}
	if l, ok := letters[e.Type]; ok {
		switch n.letter = l; {
		case e.Type == event.PasswordSet && e.Data[event.FirstKey] != "":
			n.letter = letter.PasswordFirst
		case e.Type == event.FactorRemoved && e.Target.Kind == "recovery_codes": // which have no name to tell them by
			n.letter = letter.CodesRemoved
		case e.Type == event.RecoveryCodesCreated && e.Data[event.FirstKey] != "":
			n.kind = letter.First
		}
	} else if e.Type == event.ImpersonationStarted {
		n.letter, n.what, n.hidden = letter.Impersonated, e.Data["reason"], true
	} else if e.Type == event.UserUpdated {
		for _, c := range e.Changes {
			if c.Field == "email" && c.Before != "" {
				n.letter, n.former, n.what = letter.EmailChanged, c.Before, c.After
			}
		}
	}
	if n.letter == "" || n.user == "" {
		return nil
	}
	return n
}

// Alarming reports whether e calls for a letter with a link that says "this wasn't me". Sign-ins are not looked at here.
func Alarming(e *event.Event) bool {
	n := noticeOf(e)
	return n != nil && n.letter.Alarms()
}

// kindOf is what a person calls the target of an event; "" if it has no name to them.
func kindOf(e *event.Event) letter.Kind {
	switch k := letter.Kind(e.Target.Kind); {
	case k == letter.Passkey && e.Data[event.SecondKey] != "":
		return letter.Key
	case k.Known():
		return k
	}
	return ""
}

// userOf is whom an event concerns.
func userOf(e *event.Event) string {
	if e.Target.Kind == "user" {
		return e.Target.ID
	}
	return e.Data["user_id"]
}
