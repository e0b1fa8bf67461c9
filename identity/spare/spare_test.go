package spare

import (
	"testing"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// A loss is what somebody has, and what they would have without something.
type loss struct {
	has, then Left
	decide    func(*settings.Authentication)
	group     string // what a group asks for
	why       Why
}

func judged(t *testing.T, losses map[string]loss) {
	t.Helper()
	for name, c := range losses {
		a := settings.Default(identity.DefaultTenant)
		if c.decide != nil {
			c.decide(&a)
		}
		var groups []settings.GroupMFA
		if c.group != "" {
			groups = []settings.GroupMFA{{Name: "staff", MFA: c.group}}
		}
		if why := c.has.Spare(c.then, &a, groups); why != c.why {
			t.Errorf("%s: %q, not %q", name, why, c.why)
		}
	}
}

var (
	phone = Left{Passkeys: 1, Alone: 1, Verified: 1}
	key   = Left{Passkeys: 1}
)

func with(l Left, more ...func(*Left)) Left {
	for _, m := range more {
		m(&l)
	}
	return l
}

func password(l *Left) { l.Password = true }
func app(l *Left)      { l.Apps++ }
func letters(l *Left)  { l.Mail = true }
func codes(l *Left)    { l.Codes = true }

func mail(a *settings.Authentication) { a.MagicLink = true }

func enforce(policy string) func(*settings.Authentication) {
	return func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce = policy, true }
}

func TestWhatCanBeSpared(t *testing.T) {
	t.Parallel()
	judged(t, map[string]loss{
		"an app beside a password":                  {has: Left{Password: true, Apps: 1}, then: Left{Password: true}},
		"the last passkey of who has no password":   {has: with(phone, app), then: Left{Apps: 1}, why: OnlyWay},
		"the last passkey, a security key is left":  {has: Left{Passkeys: 2, Alone: 1, Verified: 1}, then: key, why: OnlyWay},
		"a security key beside a passkey":           {has: Left{Passkeys: 2, Alone: 1, Verified: 1}, then: phone},
		"one passkey of two":                        {has: Left{Passkeys: 2, Alone: 2, Verified: 2}, then: phone},
		"the last passkey, a password is left":      {has: with(phone, password), then: Left{Password: true}},
		"a password is left, but signs nobody in":   {has: with(phone, password), then: Left{Password: true}, decide: func(a *settings.Authentication) { a.PasswordLogin = false }, why: OnlyWay},
		"an address is left, and links are sent":    {has: with(phone, letters), then: Left{Mail: true}, decide: mail},
		"an address is left, and nothing is sent":   {has: with(phone, letters), then: Left{Mail: true}, why: OnlyWay},
		"the last factor that is asked for":         {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: enforce(settings.MFAAny), why: OnlyFactor},
		"the last factor that a group asks for":     {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, group: settings.MFAAny, why: OnlyFactor},
		"one app of two":                            {has: Left{Password: true, Apps: 2}, then: Left{Password: true, Apps: 1}, decide: enforce(settings.MFAOTP)},
		"the app, a passkey is left":                {has: with(phone, password, app), then: with(phone, password), decide: enforce(settings.MFAOTP)},
		"the passkey, where only that will do":      {has: with(phone, password, app), then: Left{Password: true, Apps: 1}, decide: enforce(settings.MFAPasskey), why: OnlyFactor},
		"an app, where only passkeys do":            {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: enforce(settings.MFAPasskey)},
		"the last passkey that stays on its device": {has: Left{Passkeys: 2, Alone: 2, Verified: 2, Bound: 1}, then: phone, decide: enforce(settings.MFADeviceBound), why: OnlyFactor},
		"one that may be copied, beside it":         {has: Left{Passkeys: 2, Alone: 2, Verified: 2, Bound: 1}, then: Left{Passkeys: 1, Alone: 1, Verified: 1, Bound: 1}, decide: enforce(settings.MFADeviceBound)},
		"it, where any passkey does":                {has: Left{Passkeys: 2, Alone: 2, Verified: 2, Bound: 1}, then: phone, decide: enforce(settings.MFAPasskey)},
		"it, a key after a password is left":        {has: Left{Password: true, Passkeys: 2, Alone: 1, Verified: 1, Bound: 1, Keys: 1}, then: Left{Password: true, Passkeys: 1, Keys: 1}, group: settings.MFADeviceBound},
		"an app that is not allowed any more": {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: func(a *settings.Authentication) {
			enforce(settings.MFAAny)(a)
			a.MFAMethods = []string{settings.MethodPasskey}
		}},
		"asked for, and nobody is held to it (yet)": {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: func(a *settings.Authentication) { a.MFAPolicy, a.MFAEnforce = settings.MFAAny, false }},
		"nobody signs in here themselves":           {has: phone, then: Left{}, decide: func(a *settings.Authentication) { a.LocalLogin = false }},
	})
}

func TestThePasswordCanBeSpared(t *testing.T) {
	t.Parallel()
	judged(t, map[string]loss{
		"the password, and nothing is left":              {has: Left{Password: true}, then: Left{}, why: OnlyWay},
		"the password, an app is left":                   {has: Left{Password: true, Apps: 1}, then: Left{Apps: 1}, why: OnlyWay},
		"the password, a security key is left":           {has: with(key, password), then: key, why: OnlyWay},
		"the password, a passkey is left":                {has: with(phone, password), then: phone},
		"the password, a passkey that nobody may use":    {has: with(phone, password), then: phone, decide: func(a *settings.Authentication) { a.PasskeyLogin = false }, why: OnlyWay},
		"the password, mail is left":                     {has: Left{Password: true, Mail: true}, then: Left{Mail: true}, decide: mail},
		"the password, mail and an app are left":         {has: with(Left{Password: true, Apps: 1}, letters), then: Left{Apps: 1, Mail: true}, decide: mail, why: Halved},
		"the password, mail and a key are left":          {has: with(key, password, letters), then: with(key, letters), decide: mail, why: Halved},
		"the same, and a passkey is left, too":           {has: with(phone, password, letters, app), then: with(phone, letters, app), decide: mail},
		"the passkey, mail and an app are left":          {has: with(phone, letters, app), then: Left{Apps: 1, Mail: true}, decide: mail, why: Halved},
		"an app that makes no second factor anyway":      {has: Left{Apps: 1, Mail: true}, then: Left{Mail: true}, decide: mail},
		"the password, two factors are asked for":        {has: Left{Password: true, Mail: true}, then: Left{Mail: true}, decide: func(a *settings.Authentication) { mail(a); enforce(settings.MFAAny)(a) }},
		"the password, a passkey is two factors":         {has: with(phone, password), then: phone, decide: enforce(settings.MFAAny)},
		"the password, a passkey that verified nobody":   {has: Left{Password: true, Passkeys: 1, Alone: 1}, then: Left{Passkeys: 1, Alone: 1}, why: Halved},
		"the password, a passkey that a browser made":    {has: Left{Password: true, Passkeys: 1, Alone: 1, Unasked: 1}, then: Left{Passkeys: 1, Alone: 1, Unasked: 1}},
		"the same, where two factors are asked for":      {has: Left{Password: true, Passkeys: 1, Alone: 1, Unasked: 1}, then: Left{Passkeys: 1, Alone: 1, Unasked: 1}, decide: enforce(settings.MFAAny), why: OnlyFactor},
		"the password, where it signs nobody in anyway":  {has: Left{Password: true, Apps: 1}, then: Left{Apps: 1}, decide: func(a *settings.Authentication) { a.PasswordLogin = false }},
		"the password, where nobody signs in themselves": {has: Left{Password: true}, then: Left{}, decide: func(a *settings.Authentication) { a.LocalLogin = false }},
	})
}

func TestRecoveryCodesCanBeSpared(t *testing.T) {
	t.Parallel()
	judged(t, map[string]loss{
		"recovery codes": {has: Left{Password: true, Codes: true}, then: Left{Password: true}},
		"recovery codes, a second factor is asked for":   {has: Left{Password: true, Codes: true}, then: Left{Password: true}, decide: enforce(settings.MFAAny), why: OnlyFactor},
		"recovery codes, there is one":                   {has: Left{Password: true, Apps: 1, Codes: true}, then: Left{Password: true, Apps: 1}, decide: enforce(settings.MFAOTP)},
		"recovery codes, where only passkeys do":         {has: Left{Password: true, Codes: true}, then: Left{Password: true}, decide: enforce(settings.MFAPasskey)},
		"recovery codes beside a passkey, two in itself": {has: with(phone, codes), then: phone, decide: enforce(settings.MFAAny)},
	})
}

func TestWhatToAddFirst(t *testing.T) {
	t.Parallel()
	keysLater := func(a *settings.Authentication) { a.PasskeyLogin = false }
	weak := func(a *settings.Authentication) { a.Passkey.UserVerification = "preferred" }
	both := func(all ...func(*settings.Authentication)) func(*settings.Authentication) {
		return func(a *settings.Authentication) {
			for _, decide := range all {
				decide(a)
			}
		}
	}
	for name, c := range map[string]struct {
		has, then Left
		decide    func(*settings.Authentication)
		first     Way
	}{
		"the only password":                                {has: Left{Password: true}, first: Passkey},
		"the same, and a passkey begins nothing":           {has: Left{Password: true}, decide: keysLater},
		"the same, and codes are sent by mail":             {has: Left{Password: true}, decide: both(keysLater, mail), first: Mail},
		"the only passkey, which another would replace":    {has: phone, first: Passkey},
		"a passkey that begins nothing any more, and mail": {has: Left{Password: true, Apps: 1, Mail: true}, then: Left{Apps: 1, Mail: true}, decide: both(keysLater, mail, weak)},
		"the same, and all passkeys verify their user":     {has: Left{Password: true, Apps: 1, Mail: true}, then: Left{Apps: 1, Mail: true}, decide: both(keysLater, mail), first: Passkey},
		"an app, where a second factor is asked for":       {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: enforce(settings.MFAAny), first: Passkey},
		"the same, where passkeys are no second factor": {has: Left{Password: true, Apps: 1}, then: Left{Password: true}, decide: func(a *settings.Authentication) {
			enforce(settings.MFAAny)(a)
			a.MFAMethods = []string{settings.MethodTOTP}
		}, first: App},
		"the password, where two factors are asked for": {has: Left{Password: true, Passkeys: 1, Alone: 1, Unasked: 1}, then: Left{Passkeys: 1, Alone: 1, Unasked: 1}, decide: enforce(settings.MFAAny), first: Passkey},
	} {
		a := settings.Default(identity.DefaultTenant)
		if c.decide != nil {
			c.decide(&a)
		}
		if why := c.has.Spare(c.then, &a, nil); why == "" {
			t.Errorf("%s: it can be spared", name)
		}
		if first := c.has.First(c.then, &a, nil, Passkey, Password, App, Mail); first != c.first {
			t.Errorf("%s: %q, not %q", name, first, c.first)
		}
	}
	a := settings.Default(identity.DefaultTenant)
	if first := phone.First(Left{}, &a, nil, Password); first != Password {
		t.Errorf("where no passkey can be made: %q", first)
	}
}
