package notify_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/notify/post/posttest"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
)

// refusing answers a command until it was asked so often.
func refusing(command, answer string, times int) func(string, string) string {
	return func(c, _ string) string {
		if c != command || times == 0 {
			return ""
		}
		times--
		return answer
	}
}

func TestEventBecomesANotice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	before := h.Entries()
	h.happen(event.Event{Type: event.FactorAdded, Target: event.Target{Kind: "totp", ID: "otp_1", Name: "Phone"}, Data: map[string]string{"user_id": h.user.ID}, Request: identity.Request{IP: "192.0.2.1", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}})
	m := h.smtp.Wait(t, 1)[0]
	d := h.settled(notify.Done)[0]
	for _, want := range []string{"Hello Ada Lovelace,", "What: Authenticator app “Phone”", "Browser: Firefox on Linux", "Network address: 192.0.2.1"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the text lacks %q:\n%s", want, m.Text)
		}
	}
	if m.To != "ada@example.org" || m.Header.Get("Message-Id") != "<"+d.ID+"@example.com>" || m.Subject() != "A new way to sign in at id.example.com" {
		t.Errorf("to %s: %q, %s", m.To, m.Subject(), m.Header.Get("Message-Id"))
	}
	if n := h.Entries() - before; n > 5 { // the event, the delivery, its outcome, and the cursor once or twice
		t.Errorf("%d log entries for one notice", n)
	}
}

// A first password is no change of one: whoever hears of a change looks for who did it.
func TestFirstPasswordIsNoChange(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	const phc = "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for i, want := range []string{"Your account at id.example.com has a password now", "Your password for id.example.com was changed"} {
		h.update(func(tx *fsm.Tx) error { return credential.SetPassword(tx, ten, h.user.ID, phc) })
		if m := h.smtp.Wait(t, i+1)[i]; m.Subject() != want {
			t.Errorf("of password %d: %q, want %q", i+1, m.Subject(), want)
		}
	}
}

// Who gets recovery codes for the first time has no former ones.
func TestFirstRecoveryCodesReplaceNone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	for i := range 2 {
		h.update(func(tx *fsm.Tx) error { _, err := recovery.Generate(tx, h.ring, ten, h.user.ID); return err })
		if m := h.smtp.Wait(t, i+1)[i]; strings.Contains(m.Text, "no longer work") != (i == 1) || !strings.Contains(m.Text, "recovery codes was made for your account") {
			t.Errorf("of set %d: %s", i+1, m.Text)
		}
	}
}

// What was taken away has a letter that says what it was, or the name that it had.
func TestWhatWasRemovedIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	h.happen(event.Event{Type: event.PasswordRemoved})
	h.happen(event.Event{Type: event.FactorRemoved, Target: event.Target{Kind: "recovery_codes", ID: "rec_1"}, Data: map[string]string{"user_id": h.user.ID}})
	h.happen(event.Event{Type: event.FactorRemoved, Target: event.Target{Kind: "totp", ID: "otp_1", Name: "Phone"}, Data: map[string]string{"user_id": h.user.ID}})
	got := map[string]bool{}
	for _, m := range h.smtp.Wait(t, 3) {
		got[m.Subject()] = strings.Contains(m.Text, "What: Authenticator app “Phone”")
	}
	want := map[string]bool{
		"Your password for id.example.com was removed": false, "Your recovery codes for id.example.com were removed": false,
		"A way to sign in at id.example.com was removed": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What has a name is told by its kind, too: a telephone can be any of these.
func TestALetterSaysWhatKindOfFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	for i, c := range []struct {
		what         event.Type
		kind, second string
		want         string
	}{
		{event.PasskeyCreated, "passkey", "", "What: Passkey “Phone”"},
		{event.PasskeyCreated, "passkey", "yes", "What: Security key “Phone”"},
		{event.PasskeyDeleted, "passkey", "yes", "What: Security key “Phone”"},
		{event.CertificateAdded, "certificate", "", "What: Certificate “Phone”"},
		{event.FactorAdded, "approver", "", "What: Browser that may approve sign-ins: “Phone”"},
		{event.TokenCreated, "token", "", "without your password and without a second factor"},
		{event.FactorAdded, "later", "", "What: Phone"}, // of a release to come
	} {
		h.happen(event.Event{Type: c.what, Target: event.Target{Kind: c.kind, ID: "x", Name: "Phone"}, Data: map[string]string{"user_id": h.user.ID, event.SecondKey: c.second}})
		if m := h.smtp.Wait(t, i+1)[i]; !strings.Contains(m.Text, c.want) {
			t.Errorf("%s of %s: the letter lacks %q:\n%s", c.what, c.kind, c.want, m.Text)
		}
	}
}

// What a token may do, and when it ends, is told by its letter, as far as the event says it: one of an older release does not.
func TestALetterSaysWhatATokenMayDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	for i, c := range []struct {
		data map[string]string
		want string
	}{
		{map[string]string{"scopes": "me later", "expires": "2027-01-31T12:00:00Z"}, "What it may do: See and change your own account; later\nGood until: 2027-01-31 12:00 UTC\n"},
		{map[string]string{"scopes": "write"}, "What it may do: Everything that you may do\nGood until: it is revoked\n"},
		{map[string]string{}, "What: Backups\n\nIf it was you"},
	} {
		c.data["user_id"] = h.user.ID
		h.happen(event.Event{Type: event.TokenCreated, Target: event.Target{Kind: "token", ID: "x", Name: "Backups"}, Data: c.data})
		if m := h.smtp.Wait(t, i+1)[i]; !strings.Contains(strings.ReplaceAll(m.Text, "\r\n", "\n"), c.want) {
			t.Errorf("%v: the letter lacks %q:\n%s", c.data, c.want, m.Text)
		}
	}
}

func TestAddressChangeIsToldToBoth(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, func(c *notify.Config) {
		c.Alarm = func(identity.Tenant, string, string) (string, error) {
			return "https://id.example.com/account/not-me", nil
		}
	})
	h.connect()
	h.lead(0)
	h.update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.user.ID, 0, func(u *directory.User) error { u.Email = "countess@example.org"; return nil })
		return err
	})
	links := map[string]bool{}
	for _, m := range h.smtp.Wait(t, 2) {
		links[m.To] = strings.Contains(m.Text, "/account/not-me")
	}
	if want := map[string]bool{"ada@example.org": true, "countess@example.org": false}; !maps.Equal(links, want) {
		t.Errorf("told, and whether they can say that it was not them: %v, want %v", links, want)
	}
}

func TestWithoutSettingsNothingIsWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	h.update(func(tx *fsm.Tx) error { // another tenant, without settings
		other, err := directory.CreateTenant(tx, directory.Tenant{Slug: "other", Name: "Other"})
		if err != nil {
			return err
		}
		u, err := directory.CreateUser(tx, other.ID, directory.User{Username: "eve", Email: "eve@example.org"})
		if err != nil {
			return err
		}
		return event.Append(tx, event.Event{Tenant: other.ID, Type: event.PasswordSet, Target: event.Target{Kind: "user", ID: u.ID}})
	})
	h.happen(event.Event{Type: event.FactorRemoved}) // what was before it was heard
	if m := h.smtp.Wait(t, 1)[0]; m.To != "ada@example.org" {
		t.Errorf("sent to %s", m.To)
	}
	h.settled(notify.Done)
	if err := h.rooms[0].Test(t.Context(), identity.Tenant{ID: "ten_other"}, "ada@example.org", ""); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("test without settings: %v", err)
	}
}

func TestNoticeIsTriedAgainAndGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.smtp.Set(func(r *posttest.Rules) { r.Answer = refusing("RCPT", "451 4.7.1 later", 3) })
	h.lead(0)
	h.happen(event.Event{Type: event.PasswordSet})
	h.smtp.Wait(t, 1)
	if d := h.settled(notify.Done)[0]; d.Attempts != 4 {
		t.Errorf("%+v", d)
	}
	h.smtp.Set(func(r *posttest.Rules) { r.Answer = refusing("RCPT", "550 5.1.1 no such user", 1) })
	h.happen(event.Event{Type: event.FactorAdded})
	d := h.settled(notify.Failed, notify.Done)[0]
	if !strings.Contains(d.Status, "550 5.1.1 no such user") || d.Attempts != 1 {
		t.Errorf("%+v", d)
	}
	h.update(func(tx *fsm.Tx) error { _, err := notify.RetryDelivery(tx, ten, d.ID); return err })
	h.settled(notify.Done, notify.Done)
	h.smtp.Wait(t, 2)
}

// TestLeaderDiesBetweenSendingAndNoting: the successor sends it again, under the same
// Message-ID, and what the first had noted stays done.
func TestLeaderDiesBetweenSendingAndNoting(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.connect()
	stop := h.lead(0)
	h.happen(event.Event{Type: event.FactorAdded})
	h.settled(notify.Done)
	taken := make(chan struct{}, 10)
	first := true
	h.smtp.Set(func(r *posttest.Rules) {
		r.Answer = func(c, _ string) string {
			if c == "." && first {
				first = false
				h.SetLeader(false) // nothing can be noted any more
				taken <- struct{}{}
			}
			return ""
		}
	})
	h.happen(event.Event{Type: event.PasswordSet})
	<-taken
	stop()
	h.NewTerm()
	h.SetLeader(true)
	h.lead(1)
	all := h.smtp.Wait(t, 3)
	h.settled(notify.Done, notify.Done)
	if a, b := all[1].Header.Get("Message-Id"), all[2].Header.Get("Message-Id"); a != b || a == all[0].Header.Get("Message-Id") {
		t.Errorf("Message-IDs %s, %s", a, b)
	}
	if n := len(h.smtp.Mails()); n != 3 {
		t.Errorf("%d mails", n)
	}
}

// TestMailSpeaksTheTenantsLanguages: what pages may not be in, letters may not be in either.
func TestMailSpeaksTheTenantsLanguages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.Languages, a.DefaultLanguage = []string{"fr", "it", "de"}, "it"
		return settings.Put(tx, 0, a)
	})
	for locale, want := range map[string]string{"": "it", "pl": "it", "fr-CA": "fr", "de": "de", "fr de": "fr"} {
		l, err := h.rooms[0].Preview(t.Context(), identity.Tenant{ID: ten, Issuer: "https://id.example.com"}, letter.SignInCode, locale)
		if err != nil || l.Language != want {
			t.Errorf("to who reads %q: %+v %v", locale, l, err)
		}
	}
	h.update(func(tx *fsm.Tx) error {
		_, err := directory.UpdateUser(tx, ten, h.user.ID, 0, func(u *directory.User) error {
			u.Locale = "pl"
			return nil
		})
		return err
	})
	h.lead(0)
	h.happen(event.Event{Type: event.FactorAdded, Target: event.Target{Kind: "totp", ID: "otp_1"}, Data: map[string]string{"user_id": h.user.ID}})
	if m := h.smtp.Wait(t, 1)[0]; !strings.Contains(m.Text, "Buongiorno") {
		t.Errorf("to who reads Polish: %s", m.Text)
	}
}

// The person is told that somebody acts as them, and why, but not from where; unless the tenant
// wants that to be quiet.
func TestImpersonationIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.connect()
	h.lead(0)
	begin := func() {
		h.happen(event.Event{
			Type: event.ImpersonationStarted, Target: event.Target{Kind: "session", ID: identity.NewID("ses")},
			Data:    map[string]string{"user_id": h.user.ID, "impersonator": "usr_admin", "reason": "ticket 4711"},
			Request: identity.Request{IP: "192.0.2.1", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		})
	}
	begin()
	m := h.smtp.Wait(t, 1)[0]
	h.settled(notify.Done)
	if !strings.Contains(m.Text, "ticket 4711") || strings.Contains(m.Text, "192.0.2.1") || strings.Contains(m.Text, "Firefox") || strings.Contains(m.Text, "usr_admin") {
		t.Errorf("%s", m.Text)
	}
	h.update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.QuietImpersonation = true
		return settings.Put(tx, 0, a)
	})
	begin()
	h.happen(event.Event{Type: event.PasswordSet}) // comes after it
	h.smtp.Wait(t, 2)
	for _, d := range h.settled(notify.Done, notify.Done)[:1] {
		if d.Letter != letter.PasswordSet {
			t.Errorf("%+v", d)
		}
	}
}

// Whoever's account is being recovered is told from when on, unless the tenant wants nobody told.
func TestRecoveryIsTold(t *testing.T) {
	t.Parallel()
	warned := make(chan string, 10)
	h := newHouse(t, 1, func(c *notify.Config) { c.Warn = func(tenant, userID, _ string) { warned <- tenant + " " + userID } })
	h.connect()
	h.lead(0)
	ready := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	h.happen(event.Event{Type: event.RecoveryCancelled, Data: map[string]string{regain.QuietKey: "yes"}})
	h.happen(event.Event{Type: event.RecoveryStarted, Data: map[string]string{"ready": ready.Format(time.RFC3339)}})
	m := h.smtp.Wait(t, 1)[0]
	if m.Subject() != "Somebody wants to get back into your account at id.example.com" || !strings.Contains(m.Text, "Possible from: 2026-11-30 08:00 UTC") {
		t.Errorf("%s\n%s", m.Subject(), m.Text)
	}
	if all := h.settled(notify.Done); len(all) != 1 {
		t.Errorf("%d deliveries", len(all))
	}
	if who := <-warned; who != ten+" "+h.user.ID || len(warned) > 0 {
		t.Errorf("%s is warned, and %d more", who, len(warned))
	}
}
