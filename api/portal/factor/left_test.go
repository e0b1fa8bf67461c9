package factor

import (
	"testing"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

func TestWhatCanBeSpared(t *testing.T) {
	t.Parallel()
	mail := func(a *settings.Authentication) { a.MagicLink = true }
	enforce := func(policy string) func(*settings.Authentication) {
		return func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce = policy, true }
	}
	for name, c := range map[string]struct {
		has, then Left
		decide    func(*settings.Authentication)
		denied    bool
	}{
		"an app beside a password":                 {has: Left{Password: true, Apps: 1}, then: Left{Password: true}},
		"the last passkey of who has no password":  {has: Left{Passkeys: 1, Alone: 1, Apps: 1}, then: Left{Apps: 1}, denied: true},
		"the last passkey, a security key is left": {has: Left{Passkeys: 2, Alone: 1}, then: Left{Passkeys: 1}, denied: true},
		"a security key beside a passkey":          {has: Left{Passkeys: 2, Alone: 1}, then: Left{Passkeys: 1, Alone: 1}},
		"one passkey of two":                       {has: Left{Passkeys: 2, Alone: 2}, then: Left{Passkeys: 1, Alone: 1}},
		"the last passkey, a password is left":     {has: Left{Passkeys: 1, Alone: 1, Password: true}, then: Left{Password: true}},
		"a password is left, but signs nobody in":  {has: Left{Passkeys: 1, Alone: 1, Password: true}, then: Left{Password: true}, decide: func(a *settings.Authentication) { a.PasswordLogin = false }, denied: true},
		"an address is left, and links are sent":   {has: Left{Passkeys: 1, Alone: 1, Mail: true}, then: Left{Mail: true}, decide: mail},
		"an address is left, and nothing is sent":  {has: Left{Passkeys: 1, Alone: 1, Mail: true}, then: Left{Mail: true}, denied: true},
		"the last factor that is asked for":        {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: enforce(settings.MFAAny), denied: true},
		"one app of two":                           {has: Left{Password: true, Apps: 2}, then: Left{Password: true, Apps: 1}, decide: enforce(settings.MFAOTP)},
		"the app, a passkey is left":               {has: Left{Password: true, Apps: 1, Passkeys: 1, Alone: 1}, then: Left{Password: true, Passkeys: 1, Alone: 1}, decide: enforce(settings.MFAOTP)},
		"the passkey, where only that will do":     {has: Left{Password: true, Apps: 1, Passkeys: 1, Alone: 1}, then: Left{Password: true, Apps: 1}, decide: enforce(settings.MFAPasskey), denied: true},
		"an app, where only passkeys do":           {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: enforce(settings.MFAPasskey)},
		"an app that is not allowed any more": {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: func(a *settings.Authentication) {
			enforce(settings.MFAAny)(a)
			a.MFAMethods = []string{settings.MethodPasskey}
		}},
		"asked for, and nobody is held to it (yet)": {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce = settings.MFAAny, false }},
		"nobody signs in here themselves":           {has: Left{Passkeys: 1, Alone: 1}, then: Left{}, decide: func(a *settings.Authentication) { a.LocalLogin = false }},
	} {
		a := settings.Default(identity.DefaultTenant)
		if c.decide != nil {
			c.decide(&a)
		}
		if why := c.has.Spare(c.then, &a); (why != "") != c.denied {
			t.Errorf("%s: %q", name, why)
		}
	}
}
