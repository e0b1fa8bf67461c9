package settings_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

const ten = identity.DefaultTenant

func open(t *testing.T) *fsm.DB {
	t.Helper()
	return fsmtest.New(t, slices.Concat(event.Tables, directory.Tables, settings.Tables)...)
}

func put(t *testing.T, db *fsm.DB, rev uint64, a settings.Authentication) error {
	t.Helper()
	return db.Update(t.Context(), func(tx *fsm.Tx) error { return settings.Put(tx, rev, a) })
}

func get(t *testing.T, db *fsm.DB) (a *settings.Authentication, rev uint64) {
	t.Helper()
	if err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		a, rev, err = settings.Get(tx, ten)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return a, rev
}

func TestDefaultsAreGoodAndKept(t *testing.T) {
	t.Parallel()
	db := open(t)
	a, rev := get(t, db)
	if rev != 0 || a.MFAPolicy != settings.MFADisabled || !a.PasswordLogin {
		t.Errorf("%d %+v", rev, a)
	}
	if err := put(t, db, 0, *a); err != nil {
		t.Error(err)
	}
	if _, rev := get(t, db); rev != 0 {
		t.Error("what changes nothing was written")
	}
}

func TestChangesAreKeptAndTold(t *testing.T) {
	t.Parallel()
	db := open(t)
	a := settings.Default(ten)
	a.MFAPolicy, a.PasswordLogin, a.ForgotPassword = settings.MFAAny, false, false
	a.Passkey.RelatedOrigins = []string{"https://example.org"}
	if err := put(t, db, 0, a); err != nil {
		t.Fatal(err)
	}
	got, rev := get(t, db)
	if diff := cmp.Diff(&a, got); diff != "" {
		t.Error(diff)
	}
	if err := put(t, db, rev, settings.Default(ten)); err != nil {
		t.Error(err)
	}
	if err := put(t, db, rev, a); !errors.Is(err, identity.ErrPrecondition) {
		t.Error(err)
	}
	var events []event.Event
	if err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		events, _, err = event.List(tx, ten, event.Query{Limit: 10})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want := []event.Change{
		{Field: "mfa_policy", Before: "disabled", After: "any"}, {Field: "allow_password_login", Before: "true", After: "false"},
		{Field: "allow_forgot_password", Before: "true", After: "false"}, {Field: "passkey/related_origins", After: "https://example.org"},
	}
	if len(events) != 2 || events[1].Type != event.SettingsUpdated {
		t.Fatalf("%+v", events)
	}
	if diff := cmp.Diff(want, events[1].Changes); diff != "" {
		t.Error(diff)
	}
}

// TestEveryFieldIsTold: a field that the event of a change leaves out could be changed
// without a trace, and would not even be written.
func TestEveryFieldIsTold(t *testing.T) {
	t.Parallel()
	var walk func(typ reflect.Type, index []int)
	walk = func(typ reflect.Type, index []int) {
		for i := range typ.NumField() {
			f, at := typ.Field(i), append(slices.Clone(index), i)
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type, at)
				continue
			}
			a := settings.Default(ten)
			v := reflect.ValueOf(&a).Elem().FieldByIndex(at)
			switch v.Kind() {
			case reflect.Bool:
				v.SetBool(!v.Bool())
			case reflect.Int64:
				v.SetInt(v.Int() + 1)
			case reflect.String:
				v.SetString("x")
			default:
				v.Set(reflect.ValueOf([]string{"x", "y"}))
			}
			if f.Name != "Tenant" && len(settings.Changes(settings.Default(ten), a)) != 1 {
				t.Errorf("%s is not told", f.Name)
			}
		}
	}
	walk(reflect.TypeFor[settings.Authentication](), nil)
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	db := open(t)
	aaguid := "08987058-cadc-4b81-b6e1-30de50dcbe96"
	for field, change := range map[string]func(*settings.Authentication){
		"tenant":                       func(a *settings.Authentication) { a.Tenant = "" },
		"mfa_policy":                   func(a *settings.Authentication) { a.MFAPolicy = "inherit" },
		"mfa_allowed_methods/0":        func(a *settings.Authentication) { a.MFAMethods = []string{"sms"} },
		"mfa_allowed_methods":          func(a *settings.Authentication) { a.MFAPolicy, a.MFAMethods = "otp", []string{"passkey"} },
		"mfa_allowed_methods ":         func(a *settings.Authentication) { a.MFAPolicy, a.MFAMethods = "any", nil },
		"mfa_allowed_methods  ":        func(a *settings.Authentication) { a.MFAPolicy, a.MFAMethods = "any", []string{"approval"} },
		"mfa_enrollment_grace":         func(a *settings.Authentication) { a.MFAGrace = -1 },
		"mfa_reauth_interval_minutes":  func(a *settings.Authentication) { a.MFAReauth = 1e6 },
		"trusted_device_duration_days": func(a *settings.Authentication) { a.TrustedDevices = 366 },
		"allow_local_login":            func(a *settings.Authentication) { a.LocalLogin = false },
		"allow_password_login": func(a *settings.Authentication) {
			a.PasswordLogin, a.PasskeyLogin, a.ForgotPassword = false, false, false
		},
		"allow_forgot_password": func(a *settings.Authentication) { a.PasswordLogin = false },
		"password/min_length":   func(a *settings.Authentication) { a.Password.MinLength = 7 },
		"password/min_length ":  func(a *settings.Authentication) { a.Password.MinLength = 65 },
		"password/blocklist/1":  func(a *settings.Authentication) { a.Password.Blocklist = []string{"acme", "ab"} },
		"password/blocklist/2":  func(a *settings.Authentication) { a.Password.Blocklist = []string{"acme", "rockets", "acme"} },
		"password/blocklist": func(a *settings.Authentication) {
			for i := range 1001 {
				a.Password.Blocklist = append(a.Password.Blocklist, "word "+strconv.Itoa(i))
			}
		},
		"password/blocklist ": func(a *settings.Authentication) {
			for i := range 300 {
				a.Password.Blocklist = append(a.Password.Blocklist, fmt.Sprintf("%064d", i))
			}
		},
		"password/min_strength":            func(a *settings.Authentication) { a.Password.Strength = 5 },
		"password/history":                 func(a *settings.Authentication) { a.Password.History = 25 },
		"password/max_age_days":            func(a *settings.Authentication) { a.Password.MaxAge = -1 },
		"session/idle_minutes":             func(a *settings.Authentication) { a.Session.Idle = a.Session.Absolute + 1 },
		"session/absolute_minutes":         func(a *settings.Authentication) { a.Session.Absolute, a.Session.Idle = 1e6, 60 },
		"session/remember_me_days":         func(a *settings.Authentication) { a.Session.RememberMe = 1000 },
		"session/sensitive_reauth_minutes": func(a *settings.Authentication) { a.Session.Sensitive = 0 },
		"recovery/methods/0":               func(a *settings.Authentication) { a.Recovery.Methods = []string{"email+email"} },
		"recovery/methods/1":               func(a *settings.Authentication) { a.Recovery.Methods = []string{"email+totp", ""} },
		"recovery/methods/0 ":              func(a *settings.Authentication) { a.Recovery.Methods = []string{"passkey"} },
		"recovery/methods/1 ":              func(a *settings.Authentication) { a.Recovery.Methods = []string{"email", "totp+recovery_code"} },
		"recovery/delay_hours":             func(a *settings.Authentication) { a.Recovery.Delay = 721 },
		"recovery/cooling_off_hours":       func(a *settings.Authentication) { a.Recovery.CoolingOff = -1 },
		"passkey/user_verification":        func(a *settings.Authentication) { a.Passkey.UserVerification = "" },
		"passkey/attestation":              func(a *settings.Authentication) { a.Passkey.Attestation = "some" },
		"passkey/attestation ":             func(a *settings.Authentication) { a.Passkey.RequireAttested = true },
		"passkey/attestation  ":            func(a *settings.Authentication) { a.Passkey.Allow = []string{aaguid} },
		"passkey/deny_aaguids/0":           func(a *settings.Authentication) { a.Passkey.Deny = []string{strings.ToUpper(aaguid)} },
		"passkey/deny_aaguids/1":           func(a *settings.Authentication) { a.Passkey.Deny = []string{aaguid, aaguid} },
		"passkey/related_origins/0":        func(a *settings.Authentication) { a.Passkey.RelatedOrigins = []string{"https://example.org/"} },
		"passkey/related_origins/1": func(a *settings.Authentication) {
			a.Passkey.RelatedOrigins = []string{"https://a.example", "http://b.example"}
		},
		"registration/allowed_domains/0": func(a *settings.Authentication) { a.Registration.Domains = []string{"Example.com"} },
		"registration/allowed_domains/1": func(a *settings.Authentication) { a.Registration.Domains = []string{"example.com", "*.example.com"} },
		"registration/groups/0":          func(a *settings.Authentication) { a.Registration.Groups = []string{"grp_none"} },

		"languages/0":       func(a *settings.Authentication) { a.Languages = []string{"Deutsch!"} },
		"default_language":  func(a *settings.Authentication) { a.Languages, a.DefaultLanguage = []string{"de"}, "fr" },
		"languages/1":       func(a *settings.Authentication) { a.Languages = []string{"de-AT", "nl"} },
		"default_language ": func(a *settings.Authentication) { a.DefaultLanguage = "xx" },
		"brand_name":        func(a *settings.Authentication) { a.BrandName = "a\nb" },
		"brand_color":       func(a *settings.Authentication) { a.BrandColor = "red" },
	} {
		a := settings.Default(ten)
		change(&a)
		bad := identity.Errors(put(t, db, 0, a))
		if len(bad) != 1 || bad[0].Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, bad)
		}
	}
	a := settings.Default(ten)
	a.MFAPolicy, a.Password.MinLength, a.BrandColor = "x", 0, "x"
	if n := len(identity.Errors(put(t, db, 0, a))); n != 3 {
		t.Errorf("%d of 3 faults are named", n)
	}
}

// TestStoredCombination: those without email were taken once. They are read, and may stay beside another change, until
// they are taken out.
func TestStoredCombination(t *testing.T) {
	t.Parallel()
	db := open(t)
	a := settings.Default(ten)
	a.Recovery.Methods = []string{"passkey", "email+totp"}
	if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return settings.Store(tx, a) }); err != nil {
		t.Fatal(err)
	}
	decide := func(methods ...string) []*identity.Error {
		t.Helper()
		var now *settings.Authentication
		err := db.View(t.Context(), func(tx *fsm.Tx) (err error) { now, _, err = settings.Get(tx, ten); return err })
		if err != nil {
			t.Fatal(err)
		}
		now.Recovery.Methods, now.Recovery.Delay = methods, now.Recovery.Delay+1
		return identity.Errors(put(t, db, 0, *now))
	}
	if bad := decide("passkey", "email+totp"); len(bad) != 0 {
		t.Errorf("another change: %v", bad)
	}
	if bad := decide("passkey", "totp"); len(bad) != 1 || !strings.Contains(bad[0].Detail, "email+totp") {
		t.Errorf("one more of them: %v", bad)
	}
	if bad := decide("email+passkey"); len(bad) != 0 {
		t.Error(bad)
	}
	if bad := decide("passkey"); len(bad) != 1 || bad[0].Field != "recovery/methods/0" {
		t.Errorf("again, after it was taken out: %v", bad)
	}
}

// TestStoredMinimum: up to 128 characters could be asked for once, which always meant 64.
func TestStoredMinimum(t *testing.T) {
	t.Parallel()
	db := open(t)
	a := settings.Default(ten)
	a.Password.MinLength = 128
	if err := db.Update(t.Context(), func(tx *fsm.Tx) error { return settings.Store(tx, a) }); err != nil {
		t.Fatal(err)
	}
	got, rev := get(t, db)
	if got.Password.MinLength != 64 {
		t.Errorf("%d characters", got.Password.MinLength)
	}
	got.MFAPolicy = settings.MFAAny
	if err := put(t, db, rev, *got); err != nil {
		t.Errorf("nothing else can be changed: %v", err)
	}
}

func TestColors(t *testing.T) {
	t.Parallel()
	for c, want := range map[string]string{
		"": "", "#0b5a49": "", "#000000": "", "#FF0000": "#ed0000", "#ffff00": "#7", "#ffffff": "#757575", "#767676": "", "#777777": "#7",
		"red": "must be # and six hexadecimal digits, two each for red, green and blue, such as #0b5a49", "#fff": "such as", "0b5a49f": "such as", "#00000g": "such as", "#+00000": "such as",
	} {
		err := settings.CheckColor(c)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	db := open(t)
	var group, user string
	do := func(fn func(tx *fsm.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	do(directory.EnsureDefault)
	do(func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, ten, directory.Group{Name: "admins"})
		if err != nil {
			return err
		}
		u, err := directory.CreateUser(tx, ten, directory.User{Username: "ann"})
		if err != nil {
			return err
		}
		group, user = g.ID, u.ID
		return directory.AddMember(tx, ten, group, user)
	})
	policies := func() (out []settings.GroupMFA) {
		t.Helper()
		do(func(tx *fsm.Tx) (err error) {
			out, err = settings.Groups(tx, ten, user)
			return err
		})
		return out
	}
	if got := policies(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	do(func(tx *fsm.Tx) error { return settings.SetOfGroup(tx, ten, group, "passkey") })
	if got := policies(); len(got) != 1 || got[0].MFA != "passkey" || got[0].Name != "admins" {
		t.Errorf("%+v", got)
	}
	do(func(tx *fsm.Tx) error {
		if err := settings.SetOfGroup(tx, ten, group, "sms"); !errors.Is(err, identity.ErrInvalid) {
			t.Error(err)
		}
		if err := settings.SetOfGroup(tx, ten, "grp_none", "any"); !errors.Is(err, fsm.ErrNotFound) {
			t.Error(err)
		}
		return settings.SetOfGroup(tx, ten, group, "inherit")
	})
	if got := policies(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	do(func(tx *fsm.Tx) error { return settings.SetOfGroup(tx, ten, group, "any") })
	do(func(tx *fsm.Tx) error { return settings.DeleteGroup(tx, ten, group) })
	if got := policies(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
