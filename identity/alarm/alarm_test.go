package alarm_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

type house struct {
	*fsmtest.Cluster
	t    *testing.T
	ring *seal.Ring
	user *directory.User
}

func newHouse(t *testing.T, nodes int) *house {
	t.Helper()
	h := &house{t: t}
	h.Cluster = fsmtest.NewCluster(t, nodes, slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, credential.Tables, session.Tables, passkey.Tables, regain.Tables, pending.Tables, alarm.Tables)...)
	h.ring = sealtest.Ring(t, h.DB[0])
	h.update(func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		h.user, err = directory.CreateUser(tx, ten, directory.User{Username: "ada", Email: "ada@example.org"})
		return err
	})
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) token(event string) string {
	h.t.Helper()
	token, err := alarm.Token(h.ring, h.DB[0].Now(), ten, h.user.ID, event)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func TestAlarmLocksTheAccountDownOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	store := session.NewStore(session.Config{DB: h.DB[0], Ring: h.ring})
	h.update(func(tx *fsm.Tx) error {
		for range 2 {
			if _, err := store.Start(tx, session.Session{Tenant: ten, UserID: h.user.ID}); err != nil {
				return err
			}
		}
		if err := credential.SetPassword(tx, ten, h.user.ID, "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); err != nil {
			return err
		}
		if _, err := regain.Begin(tx, ten, h.user.ID); err != nil {
			return err
		}
		if _, _, err := approval.Allow(tx, h.ring, ten, h.user.ID, "ses_1", "Laptop"); err != nil {
			return err
		}
		if _, _, err := credential.CreateToken(tx, ten, h.user.ID, "script", "", time.Time{}); err != nil {
			return err
		}
		_, _, err := device.Trust(tx, h.ring, ten, h.user.ID, "Laptop", alarm.Lifetime)
		return err
	})
	token, again := h.token("evt_1"), h.token("evt_1")
	h.update(func(tx *fsm.Tx) error {
		if err := alarm.Look(tx, h.ring, ten, token); err != nil {
			t.Errorf("look: %v", err)
		}
		user, err := alarm.Raise(tx, h.ring, ten, token, true)
		if user != h.user.ID {
			t.Errorf("user %q", user)
		}
		return err
	})
	h.update(func(tx *fsm.Tx) error {
		left, err := session.EndAllOf(tx, ten, h.user.ID)
		devices, err2 := device.List(tx, ten, h.user.ID)
		why, err3 := credential.Expired(tx, ten, h.user.ID)
		approvers, err5 := approval.List(tx, ten, h.user.ID)
		if left != 0 || len(devices) != 0 || len(approvers) != 0 || why == "" {
			t.Errorf("%d sessions, %d devices, %d approvers, change of the password: %q", left, len(devices), len(approvers), why)
		}
		for left := range credential.ListTokens(tx, ten, h.user.ID) {
			t.Errorf("access token %s is left", left.Name)
		}
		if bar, err := regain.Locked(tx, h.user); err != nil || bar == nil || bar.Mail != h.user.Email {
			t.Errorf("locked: %+v, %v", bar, err)
		}
		if waits, err := regain.Waiting(tx, ten, h.user.ID); err != nil || waits != nil {
			t.Errorf("a recovery goes on: %+v, %v", waits, err)
		}
		events, _, err4 := event.List(tx, ten, event.Query{Type: string(event.AlarmRaised)})
		if len(events) != 1 {
			t.Errorf("%d events", len(events))
		}
		return errors.Join(err, err2, err3, err4, err5)
	})
	for _, bad := range []string{token, again, "", "nonsense", token[:40], string(make([]byte, 10_000))} {
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { _, err := alarm.Raise(tx, h.ring, ten, bad, true); return err })
		if !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("token %.20q: %v", bad, err)
		}
	}
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error { return alarm.Look(tx, h.ring, "ten_other", h.token("evt_2")) })
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("in another tenant: %v", err)
	}
	late := h.token("evt_3")
	h.Advance(alarm.Lifetime + time.Second)
	h.update(func(tx *fsm.Tx) error { // an entry that carries the time
		return event.Append(tx, event.Event{Tenant: ten, Type: event.PasswordSet})
	})
	if err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error { return alarm.Look(tx, h.ring, ten, late) }); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("after its time: %v", err)
	}
}

func (h *house) add(app string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		_, _, err := totptest.Add(tx, h.ring, ten, h.user.ID, app)
		return err
	})
}

// added returns the event by which an app was added.
func (h *house) added(app string) (id string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		page, _, err := event.About(tx, ten, h.user.ID, "", 10)
		for _, e := range page {
			if e.Type == event.FactorAdded && e.Target.Name == app {
				id = e.ID
			}
		}
		return err
	})
	return id
}

func (h *house) raise(event string) {
	h.t.Helper()
	token := h.token(event)
	h.update(func(tx *fsm.Tx) error { _, err := alarm.Raise(tx, h.ring, ten, token, true); return err })
}

// apps are the names of the user's apps.
func (h *house) apps() (names []string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		all, err := totp.List(tx, ten, h.user.ID)
		for _, a := range all {
			names = append(names, a.Name)
		}
		return err
	})
	return names
}

// A letter that is answered late does not take away what its person has set up since they answered another.
func TestLaterAlarmLeavesWhatWasRepaired(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.add("theirs")
	first := h.added("theirs")
	h.Advance(time.Hour)
	h.add("theirs, too")
	second := h.added("theirs, too")
	h.Advance(time.Hour)
	h.raise(second)
	if diff := cmp.Diff([]string{"theirs"}, h.apps()); diff != "" {
		t.Error(diff)
	}
	h.Advance(time.Hour)
	h.add("mine")
	h.raise(first)
	if diff := cmp.Diff([]string{"mine"}, h.apps()); diff != "" {
		t.Error(diff)
	}
}

// readdress gives the user another address, which is a confirmed one, as the admin API and provisioning do.
func (h *house) readdress(to string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.user.ID, 0, func(u *directory.User) error { u.Email, u.EmailVerified = to, true; return nil })
		return err
	})
}

// moves makes another address the user's by a change that both mailboxes confirm.
func (h *house) moves(to string) {
	h.t.Helper()
	h.readdress(h.user.Email)
	h.update(func(tx *fsm.Tx) error {
		b, err := pending.BeginEmailChange(tx, ten, h.user.ID, to)
		if err != nil {
			return err
		}
		for _, secret := range []string{b.ToOld, b.ToNew} {
			if _, _, err := pending.ConfirmEmailChange(tx, ten, secret); err != nil {
				return err
			}
		}
		return nil
	})
}

// locked returns whether the user's address is a confirmed one, and the mailbox that the locked account asks for.
func (h *house) locked() (verified bool, mail string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, ten, h.user.ID)
		if err != nil {
			return err
		}
		bar, err := regain.Locked(tx, u)
		if err != nil {
			return err
		}
		if bar == nil {
			return errors.New("the account is not locked")
		}
		verified, mail = u.EmailVerified, bar.Mail
		return nil
	})
	return verified, mail
}

// Attack: who is in the account makes an address of their own the confirmed one, and the lock would
// ask for their mailbox.
func TestAlarmDoesNotTrustAnAddressThatCameAfter(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *house, to string){"confirmed by both mailboxes": (*house).moves, "by an administrator": (*house).readdress} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 1)
			h.add("theirs")
			change(h, "mallory@example.net")
			h.raise(h.added("theirs"))
			if verified, mail := h.locked(); verified || mail != "" {
				t.Errorf("verified %v, asks for the mailbox %q", verified, mail)
			}
		})
	}
}

// An address that the person has given themselves since they answered a letter is theirs.
func TestLaterAlarmTrustsTheAddressThatWasRepaired(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.add("theirs")
	first := h.added("theirs")
	h.Advance(time.Hour)
	h.add("theirs, too")
	h.raise(h.added("theirs, too"))
	h.Advance(time.Hour)
	h.readdress("ada@example.net")
	h.raise(first)
	if verified, mail := h.locked(); !verified || mail != "ada@example.net" {
		t.Errorf("verified %v, asks for the mailbox %q", verified, mail)
	}
}

// Attack: the intruder has given the account another address, answers a letter that came there, and adds more: the
// owner's letter takes away all of it.
func TestALetterToAnAddressThatCameLaterEndsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.add("theirs")
	first := h.added("theirs")
	h.Advance(time.Hour)
	h.readdress("mallory@example.net")
	h.Advance(time.Hour)
	h.add("theirs, too")
	h.raise(h.added("theirs, too"))
	h.Advance(time.Hour)
	h.add("theirs, still")
	h.raise(first)
	if left := h.apps(); len(left) > 0 {
		t.Errorf("left is %q", left)
	}
}

// What was added to an account since what the alarm is about is gone, and nothing else is.
func TestAlarmRemovesWhatWasAdded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.add("mine")
	h.Advance(2 * time.Minute)
	h.add("theirs")
	about := h.added("theirs")
	h.Advance(time.Minute)
	h.add("theirs, too")
	h.Advance(time.Minute)
	for _, token := range []string{h.token("evt_long_ago"), h.token(about)} {
		h.update(func(tx *fsm.Tx) error { _, err := alarm.Raise(tx, h.ring, ten, token, true); return err })
	}
	h.update(func(tx *fsm.Tx) error {
		left, err := totp.List(tx, ten, h.user.ID)
		if len(left) != 1 || left[0].Name != "mine" {
			t.Errorf("left is %+v", left)
		}
		return err
	})
}

// TestAlarmIsRacedOnTwoNodes: of many at once, one is accepted.
func TestAlarmIsRacedOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for range 50 {
		token := h.token(identity.NewID(identity.PrefixEvent))
		var accepted atomic.Int32
		var all sync.WaitGroup
		for _, db := range h.DB {
			all.Go(func() {
				err := db.Update(t.Context(), func(tx *fsm.Tx) error { _, err := alarm.Raise(tx, h.ring, ten, token, true); return err })
				if err == nil {
					accepted.Add(1)
				} else if !errors.Is(err, fsm.ErrNotFound) && !errors.Is(err, fsm.ErrExists) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := accepted.Load(); n != 1 {
			t.Fatalf("accepted %d times", n)
		}
	}
}
