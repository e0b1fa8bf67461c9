package factor

import (
	"net/http"
	"slices"

	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// Left is what a person has to sign in with. Recovery codes do not count: they end.
type Left struct {
	Password bool
	Mail     bool // codes or links sent to an address that is known to be theirs
	Apps     int  // authenticator apps
	Passkeys int  // passkeys and security keys
	Alone    int  // of these, what signs in without anything before it
}

// LeftTo returns what a user has now.
func LeftTo(tx *fsm.Tx, u *directory.User) (l Left, err error) {
	set, err := credential.PasswordSet(tx, u.Tenant, u.ID)
	if err != nil {
		return l, err
	}
	apps, err := totp.List(tx, u.Tenant, u.ID)
	if err != nil {
		return l, err
	}
	l.Password, l.Apps = !set.IsZero(), len(apps)
	l.Mail = u.Email != "" && u.EmailVerified
	l.Passkeys, l.Alone, err = passkey.Usable(tx, u.Tenant, u.ID)
	return l, err
}

// first reports whether l begins a sign-in in a tenant that has decided a.
func (l Left) first(a *settings.Authentication) bool {
	return a.LocalLogin && (l.Known(a) || l.Alone > 0 && a.PasskeyLogin || l.Mail && (a.EmailOTP || a.MagicLink))
}

// Known reports whether l has a password that signs in where a tenant has decided a: what a
// security key is asked for after.
func (l Left) Known(a *settings.Authentication) bool { return l.Password && a.PasswordLogin }

// second reports whether l meets what a asks for beyond that.
func (l Left) second(a *settings.Authentication) bool {
	app := l.Apps > 0 && slices.Contains(a.MFAMethods, settings.MethodTOTP)
	key := (l.Alone > 0 || l.Passkeys > 0 && l.Known(a)) && slices.Contains(a.MFAMethods, settings.MethodPasskey)
	switch {
	case a.MFAPolicy == settings.MFADisabled || !a.MFAEnforce:
		return true
	case a.MFAPolicy == settings.MFAPasskey:
		return key
	default:
		return app || key
	}
}

// Why something cannot be spared, as the keys of sentences for the person.
const (
	onlyWay    = "left.only_way"    // nothing else begins a sign-in
	onlyFactor = "left.only_factor" // the tenant asks for a factor, and there is no other
)

// Spare says why going from l to then must not be, "" if it may: it would take away the last
// way to sign in, or the last factor that the tenant asks for.
func (l Left) Spare(then Left, a *settings.Authentication) (why string) {
	switch {
	case l.first(a) && !then.first(a):
		return onlyWay
	case l.second(a) && !then.second(a):
		return onlyFactor
	}
	return ""
}

// Begins reports whether u can begin a sign-in with something other than a certificate, or need
// not, because nobody signs in here themselves.
func Begins(tx *fsm.Tx, u *directory.User) (bool, error) {
	has, err := LeftTo(tx, u)
	if err != nil {
		return false, err
	}
	a, _, err := settings.Get(tx, u.Tenant)
	if err != nil {
		return false, err
	}
	return !a.LocalLogin || has.first(a), nil
}

// Without says in a person's words why v cannot spare what take takes away, "" if they can.
func Without(tx *fsm.Tx, r *http.Request, v *portal.Visitor, take func(*Left)) (string, error) {
	u, _, err := directory.GetUser(tx, v.Tenant, v.UserID)
	if err != nil {
		return "", err
	}
	has, err := LeftTo(tx, u)
	if err != nil {
		return "", err
	}
	a, _, err := settings.Get(tx, v.Tenant)
	if err != nil {
		return "", err
	}
	then := has
	take(&then)
	if why := has.Spare(then, a); why != "" {
		return site.Text(r, why), nil
	}
	return "", nil
}
