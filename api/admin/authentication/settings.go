package authentication

import (
	"errors"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

func (a *api) settings() []route {
	const path = "/settings/authentication"
	return []route{
		{Method: "GET", Path: path, Op: "getAuthenticationSettings", Summary: "How people of the tenant sign in.", Tagged: true, Do: handle(a.getSettings)},
		{Method: "PUT", Path: path, Op: "setAuthenticationSettings", Summary: "Decide how people of the tenant sign in; what is not mentioned is as by default.", Tagged: true, Do: handle(a.changeSettings)},
		{Method: "PATCH", Path: path, Op: "updateAuthenticationSettings", Summary: "Change what is mentioned of how people of the tenant sign in.", Tagged: true, Do: handle(a.changeSettings)},
	}
}

type authenticationSettings struct {
	MFAPolicy        string   `json:"mfa_policy" enum:"disabled|any|otp|passkey|device_bound" default:"disabled" example:"any" doc:"Second factor that every sign-in needs. Groups and applications may ask for more. device_bound: a passkey that never leaves its device, as it says itself; only with passkey.require_attested does its maker answer for that."`
	MFAMethods       []string `json:"mfa_allowed_methods" max:"3" item_enum:"totp|passkey|approval" example:"totp passkey approval" doc:"Second factors that people may enrol and use. approval, in another browser of theirs, is only for who has one of the others."`
	MFAEnforce       bool     `json:"mfa_enforce_enrollment" default:"true" doc:"Whether people without the second factor that is asked for must enrol one when they sign in; off: they may put it off for ever."`
	MFAGrace         int64    `json:"mfa_enrollment_grace" min:"0" max:"100" default:"3" doc:"Sign-ins after which enrolment can no longer be put off."`
	MFAReauth        int64    `json:"mfa_reauth_interval_minutes" min:"0" max:"10080" default:"0" doc:"Minutes after which the second factor is asked for again within a session; 0: once per session."`
	TrustedDevices   int64    `json:"trusted_device_duration_days" min:"0" max:"365" default:"0" doc:"Days that a person may have a device trusted, which spares them there the second factor that mfa_policy asks for; it is none, so that acr and amr do not say that there was one, and an application that asks for urn:quis:acr:aal2 gets it proved; 0: not offered."`
	LocalLogin       bool     `json:"allow_local_login" default:"true" doc:"Whether people may sign in here at all, rather than through another provider."`
	PasswordLogin    bool     `json:"allow_password_login" default:"true" doc:"Whether a password is a way to sign in. To switch a way off is refused if that leaves no administrator (of the first 50) one; a certificate that is good today is one, too."`
	PasskeyLogin     bool     `json:"allow_passkey_login" default:"true" doc:"Whether a passkey is a way to sign in, without a username."`
	EmailOTP         bool     `json:"allow_email_otp" doc:"Whether a code sent by mail is a way to sign in. A letter to get back in has a code in any case."`
	MagicLink        bool     `json:"allow_magic_link" doc:"Whether a link sent by mail is a way to sign in, in the browser that asked for it. A letter to get back in has one in any case."`
	ForgotPassword   bool     `json:"allow_forgot_password" default:"true" doc:"Whether people may set a new password by themselves when they forgot theirs; see recovery."`
	SelfRegistration bool     `json:"allow_self_registration" doc:"Whether strangers may make themselves an account."`

	Password passwordRules `json:"password" doc:"What new passwords must be like."`
	Session  sessionRules  `json:"session" doc:"How long people stay signed in."`
	Recovery recoveryRules `json:"recovery" doc:"How people get back in who cannot prove who they are."`
	Passkey  passkeyRules  `json:"passkey" doc:"Which passkeys may be enrolled, and with which people sign in."`

	Registration registrationRules `json:"registration" doc:"Who may make themselves an account, where allow_self_registration is on."`

	Languages       []string `json:"languages" max:"50" item_max:"35" doc:"Languages that pages and mail may be in (BCP 47); none: all there are."`
	DefaultLanguage string   `json:"default_language" max:"35" example:"en" doc:"Language for people whose own is none of them."`
	BrandName       string   `json:"brand_name" max:"60" example:"Acme" doc:"Name on pages and in mail; empty: the tenant's name."`
	BrandColor      string   `json:"brand_color" max:"64" example:"#0b5a49" doc:"Colour of buttons and links, as # and six hexadecimal digits; dark enough for white text; empty: ours."`

	AllowImpersonation bool `json:"allow_impersonation" doc:"Whether administrators may act as other users, for an hour at most and with every step on record."`
	QuietImpersonation bool `json:"quiet_impersonation" doc:"Whether people are not told by mail that an administrator acts as them; they see it among their activity in any case."`

	Warnings []string `json:"warnings,omitempty" max:"10" item_max:"1000" example:"nothing" doc:"What is decided here and does not happen at the node that answers, and what to do about it. What is sent here is passed over."`
}

type passwordRules struct {
	MinLength int64 `json:"min_length" min:"8" max:"64" default:"15" example:"12" doc:"Characters, at least."`
	Uppercase bool  `json:"require_uppercase" doc:"Whether there must be a capital letter."`
	Number    bool  `json:"require_number" doc:"Whether there must be a digit."`
	Special   bool  `json:"require_special" doc:"Whether there must be a character that is neither."`
	Strength  int64 `json:"min_strength" min:"0" max:"4" default:"2" doc:"How hard it must be to guess: 0 anything, 4 very hard (zxcvbn)."`
	Breached  bool  `json:"check_breached" default:"true" doc:"Whether passwords known from breaches are refused."`
	History   int64 `json:"history" min:"0" max:"24" default:"0" doc:"Former passwords that may not come back."`
	MaxAge    int64 `json:"max_age_days" min:"0" max:"3650" default:"0" doc:"Days after which a new one is asked for; 0: never."`

	Blocklist []string `json:"blocklist" max:"1000" item_min:"3" item_max:"64" example:"acme rockets" doc:"Words that are no password here, such as the names of the house and its products: in capitals or not (ß is ss), repeated, and with whatever digits and signs around them. A password that has one among other words is accepted, so that words of three letters do no harm; of two there is nothing to say: a password of two signs over and over is refused anyway. 16 KiB in all."`
}

type sessionRules struct {
	Idle       int64 `json:"idle_minutes" min:"5" max:"43200" default:"120" example:"60" doc:"Minutes without activity after which a session ends."`
	Absolute   int64 `json:"absolute_minutes" min:"5" max:"129600" default:"720" doc:"Minutes from signing in after which it ends in any case."`
	RememberMe int64 `json:"remember_me_days" min:"0" max:"365" default:"0" doc:"Days of a session where the person asked to stay signed in, which idleness does not end; 0: not offered."`
	Sensitive  int64 `json:"sensitive_reauth_minutes" min:"1" max:"1440" default:"15" doc:"Minutes after which changes to one's own ways of signing in need a proof again, of a second factor where there is one."`
}

type recoveryRules struct {
	Methods   []string `json:"methods" max:"10" item_max:"64" example:"email+recovery_code email+totp" doc:"Any of these is enough. Each is email, with a letter to which every recovery begins, or email and one or more of totp, recovery_code and passkey, joined by +. None: only an administrator lets people back in."`
	Delay     int64    `json:"delay_hours" min:"0" max:"720" default:"24" doc:"Hours until a recovery that replaces second factors takes effect."`
	Notify    bool     `json:"notify" default:"true" doc:"Whether every address known of the person is told at once."`
	TwoPerson bool     `json:"two_person" doc:"Whether an administrator's help needs a second administrator. On it counts at once; to switch it off a second one has to agree, too: see approveLowering. While it is on only the operator of the machine changes which certificates count and which server carries the mail, allows impersonation, and names further origins for passkeys."`

	CoolingOff int64 `json:"cooling_off_hours" min:"0" max:"720" default:"24" doc:"Hours in which an account that was recovered gives away no access tokens, trusts no browsers and keeps its address."`
}

type passkeyRules struct {
	UserVerification string   `json:"user_verification" enum:"required|preferred|discouraged" default:"required" doc:"Whether the device must check that it is its owner, by PIN, finger or face. A security key that is only asked for after a password need not."`
	Attestation      string   `json:"attestation" enum:"none|indirect|direct|enterprise" default:"none" example:"direct" doc:"Whether it is asked what made the passkey."`
	RequireAttested  bool     `json:"require_attested" doc:"Whether only those may be enrolled whose maker was verified. mfa_policy device_bound and forbid_synced go by what a passkey says of itself, which a hostile authenticator may say falsely: against one they mean nothing without this."`
	Allow            []string `json:"allow_aaguids" max:"100" item_max:"36" doc:"Models that may be enrolled and sign in, by AAGUID; none: all. Whoever has only others, or only some that do not tell their model, signs in no more: they need another way, or your help. A model that the FIDO metadata in use describe has to be vouched for by its maker: passkeys that were made under attestation none and only claim it sign in no more either, and are to be added anew. Of a model that they do not describe, or without metadata, the claim counts."`
	Deny             []string `json:"deny_aaguids" max:"100" item_max:"36" doc:"Models that may not. Passkeys of theirs that people have already sign in no more, until you take that back; sessions and trusted browsers that they have won last until they end. What would leave no administrator (of the first 50) a way in is refused."`
	ForbidSynced     bool     `json:"forbid_synced" doc:"Whether only those may be enrolled that never leave their device, as they say themselves: see require_attested."`
	RelatedOrigins   []string `json:"related_origins" max:"20" item_max:"200" doc:"Other origins where the same passkeys may be used. Browsers read origins of at most five different names for all tenants together, the server's own among them; one that would be a name too many is refused, and so is to enable a tenant again whose would be. Nodes tell browsers of a change within a minute."`
}

type registrationRules struct {
	Domains []string `json:"allowed_domains" max:"100" item_max:"253" example:"example.com" doc:"Domains of the addresses with which people may make themselves an account; none: any."`
	Groups  []string `json:"groups" max:"50" item_max:"64" doc:"IDs of the groups that they will be in."`
}

func show(a *settings.Authentication) authenticationSettings {
	return authenticationSettings{
		MFAPolicy: a.MFAPolicy, MFAMethods: list(a.MFAMethods), MFAEnforce: a.MFAEnforce, MFAGrace: a.MFAGrace, MFAReauth: a.MFAReauth,
		TrustedDevices: a.TrustedDevices, LocalLogin: a.LocalLogin, PasswordLogin: a.PasswordLogin, PasskeyLogin: a.PasskeyLogin,
		EmailOTP: a.EmailOTP, MagicLink: a.MagicLink, ForgotPassword: a.ForgotPassword, SelfRegistration: a.SelfRegistration,
		Password: showPassword(a.Password), Session: sessionRules(a.Session),
		Recovery: recoveryRules{list(a.Recovery.Methods), a.Recovery.Delay, a.Recovery.Notify, a.Recovery.TwoPerson, a.Recovery.CoolingOff},
		Passkey: passkeyRules{
			a.Passkey.UserVerification, a.Passkey.Attestation, a.Passkey.RequireAttested, list(a.Passkey.Allow), list(a.Passkey.Deny),
			a.Passkey.ForbidSynced, list(a.Passkey.RelatedOrigins),
		},
		Registration: registrationRules{list(a.Registration.Domains), list(a.Registration.Groups)},
		Languages:    list(a.Languages), DefaultLanguage: a.DefaultLanguage, BrandName: a.BrandName, BrandColor: a.BrandColor,
		AllowImpersonation: a.AllowImpersonation, QuietImpersonation: a.QuietImpersonation,
	}
}

func showPassword(p settings.Password) passwordRules {
	out := passwordRules(p)
	out.Blocklist = list(p.Blocklist)
	return out
}

func (f *authenticationSettings) of(tenant string) settings.Authentication {
	return settings.Authentication{
		Tenant: tenant, MFAPolicy: f.MFAPolicy, MFAMethods: f.MFAMethods, MFAEnforce: f.MFAEnforce, MFAGrace: f.MFAGrace, MFAReauth: f.MFAReauth,
		TrustedDevices: f.TrustedDevices, LocalLogin: f.LocalLogin, PasswordLogin: f.PasswordLogin, PasskeyLogin: f.PasskeyLogin,
		EmailOTP: f.EmailOTP, MagicLink: f.MagicLink, ForgotPassword: f.ForgotPassword, SelfRegistration: f.SelfRegistration,
		Password: settings.Password(f.Password), Session: settings.Session(f.Session), Recovery: settings.Recovery(f.Recovery), Passkey: settings.Passkey(f.Passkey),
		Registration: settings.Registration(f.Registration),
		Languages:    f.Languages, DefaultLanguage: f.DefaultLanguage, BrandName: f.BrandName, BrandColor: f.BrandColor,
		AllowImpersonation: f.AllowImpersonation, QuietImpersonation: f.QuietImpersonation,
	}
}

// current returns what holds and its revision: before anybody has decided anything, that
// of the tenant, so that the first decision can be made conditional too.
func current(tx *fsm.Tx, tenant string) (*settings.Authentication, uint64, error) {
	s, rev, err := settings.Whole(tx, tenant)
	if err == nil && rev == 0 {
		_, rev, err = directory.GetTenant(tx, tenant)
	}
	return s, rev, err
}

func (a *api) getSettings(c *call, _ *none) (*authenticationSettings, error) {
	var out authenticationSettings
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		s, rev, err := current(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		out = show(s)
		c.Revision(rev)
		out.Warnings, err = a.warnings(tx, s)
		return err
	})
	return &out, err
}

// putGoverned stores after in the place of s, unless that keeps out every administrator, of whom one got in before:
// nobody could take it back but the operator of a machine.
func putGoverned(tx *fsm.Tx, s, after settings.Authentication) error {
	left, err := spare.Govern(tx, after.Tenant, func() error { return settings.Put(tx, 0, after) })
	if err != nil || left {
		return err
	}
	return identity.Invalid(narrowed(&s, &after), "would leave no administrator a way to sign in: none has one that would still be accepted. Give an administrator one first: a passkey, a certificate or, beside a password that signs in, another second factor or recovery codes.")
}

// narrowed is the field to name of a change that takes ways to sign in away: what is switched off or listed before what is asked for.
func narrowed(s, after *settings.Authentication) string {
	for _, f := range []struct {
		field   string
		changed bool
	}{
		{"passkey/deny_aaguids", !slices.Equal(s.Passkey.Deny, after.Passkey.Deny)},
		{"passkey/allow_aaguids", !slices.Equal(s.Passkey.Allow, after.Passkey.Allow)},
		{"allow_local_login", s.LocalLogin && !after.LocalLogin},
		{"allow_password_login", s.PasswordLogin && !after.PasswordLogin},
		{"allow_passkey_login", s.PasskeyLogin && !after.PasskeyLogin},
		{"allow_email_otp", s.EmailOTP && !after.EmailOTP},
		{"allow_magic_link", s.MagicLink && !after.MagicLink},
		{"mfa_policy", s.MFAPolicy != after.MFAPolicy},
		{"mfa_allowed_methods", !slices.Equal(s.MFAMethods, after.MFAMethods)},
		{"mfa_enforce_enrollment", s.MFAEnforce != after.MFAEnforce},
	} {
		if f.changed {
			return f.field
		}
	}
	return ""
}

type changeSettingsIn struct {
	Body change[authenticationSettings]
}

func (a *api) changeSettings(c *call, in *changeSettingsIn) (*authenticationSettings, error) {
	want, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	standard := settings.Default(c.Tenant.ID)
	wanted, err := in.Body.Onto(show(&standard), show(&standard))
	if err == nil {
		err = a.cfg.Factors(c.Ctx, wanted.MFAPolicy)
	}
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		s, rev, err := current(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		if err := identity.Expect(tx, want, rev); err != nil {
			return err
		}
		f, err := in.Body.Onto(show(s), show(&standard))
		if err != nil {
			return err
		}
		after := f.of(c.Tenant.ID)
		if after.Passkey.RequireAttested && !s.Passkey.RequireAttested {
			if _, err := passkey.CurrentMetadata(tx); errors.Is(err, fsm.ErrNotFound) {
				return identity.Invalid("passkey/require_attested", "needs FIDO metadata, by which makers are known, and none have been imported: no passkey could be added. Import them first (quis passkey metadata import FILE).")
			} else if err != nil {
				return err
			}
		}
		if err := putGoverned(tx, *s, after); err != nil {
			return err
		}
		return passkey.AdmitRelated(tx, c.Tenant.Issuer, c.Tenant.ID, s.Passkey.RelatedOrigins, after.Passkey.RelatedOrigins)
	})
	if err != nil {
		return nil, err
	}
	return a.getSettings(c, &none{})
}
