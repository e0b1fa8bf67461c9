package alarm_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

// disown has the user say, in a session of theirs, that the last thing that happened was not them.
func (h *house) disown(speaks string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		all, _, err := event.About(tx, ten, h.user.ID, "", 1)
		if err != nil {
			return err
		}
		span, err := alarm.SpanOf(tx, ten, h.user.ID, speaks, &all[0])
		if err != nil {
			return err
		}
		return alarm.Secure(tx, ten, h.user.ID, speaks, "test", span, true)
	})
}

// enter starts a session of the user's.
func (h *house) enter() (id string) {
	h.t.Helper()
	store := session.NewStore(session.Config{DB: h.DB[0], Ring: h.ring})
	h.update(func(tx *fsm.Tx) error {
		s, err := store.Start(tx, session.Session{Tenant: ten, UserID: h.user.ID})
		id = s.Session.ID
		return err
	})
	return id
}

// happens writes that a token was made in a session.
func (h *house) happens(sessionID string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{
			Tenant: ten, Type: event.TokenCreated, Target: event.Target{Kind: "token", ID: "tok_1"}, Data: map[string]string{"user_id": h.user.ID},
			Actor: identity.Actor{Kind: identity.ActorUser, ID: h.user.ID, SessionID: sessionID},
		})
	})
}

// Attack: of what the intruder did only the last is disowned; the address that they gave the account before, and the way
// to sign in, would stay theirs.
func TestDisowningReachesBackToTheSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.add("mine")
	h.Advance(time.Hour)
	theirs := h.enter()
	h.add("theirs")
	h.readdress("mallory@example.net")
	h.Advance(48 * time.Hour)
	mine := h.enter()
	h.happens(theirs)
	h.disown(mine)
	if diff := cmp.Diff([]string{"mine"}, h.apps()); diff != "" {
		t.Error(diff)
	}
	if verified, mail := h.locked(); verified || mail != "" {
		t.Errorf("verified %v, asks for the mailbox %q", verified, mail)
	}
}

// Of what was done in the very session that speaks, or in one that nobody remembers, ways to sign in go that came after, and an
// address of the day before is not trusted.
func TestDisowningWhatNoOtherSessionDid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ago   time.Duration // the address was changed, before
		trust bool
		own   bool // session
	}{
		"a day, unknown":      {24 * time.Hour, false, false},
		"a day, own":          {24 * time.Hour, false, true},
		"longer ago, unknown": {25 * time.Hour, true, false},
		"longer ago, own":     {25 * time.Hour, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1)
			speaks, did := h.enter(), "ses_unknown"
			if c.own {
				did = speaks
			}
			h.readdress("ada@example.net")
			h.Advance(c.ago - 10*time.Minute)
			h.add("mine")
			h.Advance(10 * time.Minute)
			h.happens(did)
			h.disown(speaks)
			if diff := cmp.Diff([]string{"mine"}, h.apps()); diff != "" {
				t.Error(diff)
			}
			if verified, mail := h.locked(); verified != c.trust || (mail != "") != c.trust {
				t.Errorf("verified %v, asks for the mailbox %q", verified, mail)
			}
		})
	}
}
