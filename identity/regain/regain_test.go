package regain_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// A recovery waits as long as the tenant says, and takes with it whatever was lost.
func TestRecoveryWaitsForItsDelay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.app()
	store := session.NewStore(session.Config{DB: h.DB[0], Ring: h.ring})
	h.do(func(tx *fsm.Tx) error {
		_, err := recovery.Generate(tx, h.ring, ten, h.ann)
		_, _, err2 := device.Trust(tx, h.ring, ten, h.ann, "Laptop", time.Hour*1000)
		_, err3 := store.Start(tx, session.Session{Tenant: ten, UserID: h.ann})
		_, _, err4 := credential.CreateToken(tx, ten, h.ann, "script", "", time.Time{})
		_, _, err5 := approval.Allow(tx, h.ring, ten, h.ann, "ses_1", "Telephone")
		return errors.Join(err, err2, err3, err4, err5)
	})
	r := h.begin()
	if got := r.Ready.Sub(r.Begun); got != 24*time.Hour || r.State(h.DB[0].Now()) != regain.Delayed {
		t.Errorf("waits %s, state %s", got, r.State(h.DB[0].Now()))
	}
	if again := h.begin(); again.ID != r.ID || !again.Ready.Equal(r.Ready) {
		t.Errorf("begun again: %+v", again)
	}
	if err := h.try(t.Context(), h.finish(r.ID)); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("too early: %v", err)
	}
	h.Pass(t, 24*time.Hour-time.Second)
	if err := h.try(t.Context(), h.finish(r.ID)); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("a second too early: %v", err)
	}
	h.Pass(t, time.Second)
	h.do(h.finish(r.ID))
	h.do(func(tx *fsm.Tx) error {
		apps, err := totp.List(tx, ten, h.ann)
		codes, err2 := recovery.Get(tx, ten, h.ann)
		devices, err3 := device.List(tx, ten, h.ann)
		sessions, err4 := session.EndAllOf(tx, ten, h.ann)
		for token, err := range credential.ListTokens(tx, ten, h.ann) {
			t.Errorf("an access token is left: %+v, %v", token, err)
		}
		approvers, err5 := approval.List(tx, ten, h.ann)
		if err5 != nil || len(approvers) != 0 {
			t.Errorf("browsers may approve: %v, %v", approvers, err5)
		}
		if len(apps) != 0 || codes != nil || len(devices) != 0 || sessions != 0 {
			t.Errorf("left: %v, %v, %v, %d sessions", apps, codes, devices, sessions)
		}
		return errors.Join(err, err2, err3, err4)
	})
	if err := h.try(t.Context(), h.finish(r.ID)); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	for _, what := range []event.Type{event.RecoveryStarted, event.RecoveryFinished, event.FactorRemoved} {
		for _, e := range h.events(what) {
			if e.Actor.ID != "" && e.Actor.ID != h.ann {
				t.Errorf("%s by %+v", what, e.Actor)
			}
		}
	}
	started := h.events(event.RecoveryStarted)
	if len(started) != 1 || started[0].Data["ready"] != r.Ready.UTC().Format(time.RFC3339) || len(h.events(event.RecoveryFinished)) != 1 {
		t.Errorf("events %+v", started)
	}
}

// After a recovery the account rests, and nobody begins another.
func TestAccountRests(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.decide(func(r *settings.Recovery) { r.Delay, r.CoolingOff = 0, 2 })
	held := func() error {
		return h.DB[0].View(t.Context(), func(tx *fsm.Tx) error { return regain.Held(tx, ten, h.ann) })
	}
	if err := held(); err != nil {
		t.Errorf("before: %v", err)
	}
	h.do(h.finish(h.begin().ID))
	if err := held(); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("after: %v", err)
	}
	begin := func(tx *fsm.Tx) error { _, err := regain.Begin(tx, ten, h.ann); return err }
	if err := h.try(t.Context(), begin); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("begun again: %v", err)
	}
	r, _ := h.link(h.admin("usr_root")) // an administrator can, and it rests on
	if err := held(); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("with a link: %v", err)
	}
	h.do(func(tx *fsm.Tx) error { _, err := regain.Cancel(tx, ten, h.ann, "test"); return err })
	if err := held(); !errors.Is(err, identity.ErrDenied) || h.waiting() != nil {
		t.Errorf("without %s: %v", r.ID, err)
	}
	h.Pass(t, 2*time.Hour)
	if err := held(); err != nil {
		t.Errorf("later: %v", err)
	}
	h.decide(func(r *settings.Recovery) { r.CoolingOff = 0 })
	h.do(h.finish(h.begin().ID))
	if err := held(); err != nil {
		t.Errorf("where nothing rests: %v", err)
	}
}

// What a person stops is over, and only an administrator begins another for a while.
func TestRecoveryIsStopped(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	r := h.begin()
	stop := func(tx *fsm.Tx) error {
		there, err := regain.Stop(tx, ten, h.ann, "stopped by the user")
		if !there {
			t.Error("there was none")
		}
		return err
	}
	h.do(stop)
	h.Pass(t, 25*time.Hour)
	if err := h.try(t.Context(), h.finish(r.ID)); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("finished: %v", err)
	}
	begin := func(tx *fsm.Tx) error { _, err := regain.Begin(tx, ten, h.ann); return err }
	if err := h.try(t.Context(), begin); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("begun again: %v", err)
	}
	h.link(h.admin("usr_root"))
	h.do(stop)
	h.Pass(t, 7*24*time.Hour)
	h.do(begin)
	cancelled := h.events(event.RecoveryCancelled)
	if len(cancelled) != 2 || cancelled[0].Data["reason"] != "stopped by the user" || cancelled[1].Data[regain.QuietKey] != "" || cancelled[0].Actor.ID != h.ann {
		t.Errorf("events %+v", cancelled)
	}
}

// A recovery that nobody finishes ends by itself.
func TestRecoveryExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	r := h.begin()
	h.Pass(t, 8*24*time.Hour+time.Second)
	if err := h.try(t.Context(), h.finish(r.ID)); !errors.Is(err, fsm.ErrNotFound) || h.waiting() != nil {
		t.Errorf("finished: %v", err)
	}
	if again := h.begin(); again.ID == r.ID {
		t.Error("the old one goes on")
	}
}

// The tenant decides whether mail is enough.
func TestCombinations(t *testing.T) {
	t.Parallel()
	mail, code, key := assurance.Mail, assurance.Recovery, assurance.Passkey
	given := func(all ...assurance.Method) (out []assurance.Factor) {
		for _, m := range all {
			out = append(out, assurance.Factor{Method: m})
		}
		return out
	}
	for name, c := range map[string]struct {
		all      []string
		has      []assurance.Method
		proved   []assurance.Factor
		ways     []assurance.Method
		complete bool
	}{
		"mail, not proved":              {[]string{"email"}, []assurance.Method{mail}, nil, []assurance.Method{mail}, false},
		"mail, proved":                  {[]string{"email"}, []assurance.Method{mail}, given(mail), nil, true},
		"two of which one is proved":    {[]string{"email+recovery_code"}, []assurance.Method{mail, code}, given(mail), []assurance.Method{code}, false},
		"two of which one is not there": {[]string{"email+recovery_code"}, []assurance.Method{mail}, given(mail), nil, false},
		"either":                        {[]string{"email+passkey", "email+recovery_code"}, []assurance.Method{mail, code, key}, given(mail, code), []assurance.Method{key}, true},
		"none":                          {nil, []assurance.Method{mail}, given(mail), nil, false},
	} {
		ways, complete := regain.Combinations(c.all, c.has, c.proved)
		if diff := cmp.Diff(c.ways, ways); diff != "" && len(ways)+len(c.ways) > 0 || complete != c.complete {
			t.Errorf("%s: complete %v, %s", name, complete, diff)
		}
	}
	h := newHouse(t, 1)
	for _, c := range []struct {
		methods []string
		alone   bool
	}{{[]string{"email"}, true}, {[]string{"email+totp", "email"}, true}, {[]string{"email+totp"}, false}, {nil, false}} {
		h.decide(func(r *settings.Recovery) { r.Methods = c.methods })
		err := h.try(t.Context(), func(tx *fsm.Tx) error {
			if _, err := regain.Begin(tx, ten, h.ann); err != nil {
				return err
			}
			_, err := regain.Cancel(tx, ten, h.ann, "test")
			return err
		})
		if (err == nil) != c.alone || err != nil && !errors.Is(err, identity.ErrDenied) {
			t.Errorf("%v: %v", c.methods, err)
		}
	}
}

// Those who wait are listed, page by page.
func TestList(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	r := h.begin()
	h.do(func(tx *fsm.Tx) error {
		rows, next, err := regain.List(tx, ten, "", 1)
		if len(rows) != 1 || rows[0].ID != r.ID || next != "" {
			t.Errorf("%+v, %q", rows, next)
		}
		if _, _, err := regain.List(tx, ten, "\x00", 1); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("cursor: %v", err)
		}
		return err
	})
}
