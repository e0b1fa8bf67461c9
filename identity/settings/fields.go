package settings

import (
	"strconv"
	"strings"
)

// fields are the settings by the names that the API has for them, for the event of a change.
func (a *Authentication) fields() [][2]string {
	list := func(s []string) string { return strings.Join(s, " ") }
	yes, n := strconv.FormatBool, func(i int64) string { return strconv.FormatInt(i, 10) }
	return [][2]string{
		{"mfa_policy", a.MFAPolicy}, {"mfa_allowed_methods", list(a.MFAMethods)}, {"mfa_enforce_enrollment", yes(a.MFAEnforce)},
		{"mfa_enrollment_grace", n(a.MFAGrace)}, {"mfa_reauth_interval_minutes", n(a.MFAReauth)}, {"trusted_device_duration_days", n(a.TrustedDevices)},
		{"allow_local_login", yes(a.LocalLogin)}, {"allow_password_login", yes(a.PasswordLogin)}, {"allow_passkey_login", yes(a.PasskeyLogin)},
		{"allow_email_otp", yes(a.EmailOTP)}, {"allow_magic_link", yes(a.MagicLink)}, {"allow_forgot_password", yes(a.ForgotPassword)},
		{"allow_self_registration", yes(a.SelfRegistration)},
		{"password/min_length", n(a.Password.MinLength)}, {"password/require_uppercase", yes(a.Password.Uppercase)}, {"password/require_number", yes(a.Password.Number)},
		{"password/require_special", yes(a.Password.Special)}, {"password/min_strength", n(a.Password.Strength)}, {"password/check_breached", yes(a.Password.Breached)},
		{"password/history", n(a.Password.History)}, {"password/max_age_days", n(a.Password.MaxAge)},
		{"password/blocklist", strings.Join(a.Password.Blocklist, "\n")},
		{"session/idle_minutes", n(a.Session.Idle)}, {"session/absolute_minutes", n(a.Session.Absolute)}, {"session/remember_me_days", n(a.Session.RememberMe)},
		{"session/sensitive_reauth_minutes", n(a.Session.Sensitive)},
		{"recovery/methods", list(a.Recovery.Methods)}, {"recovery/delay_hours", n(a.Recovery.Delay)}, {"recovery/notify", yes(a.Recovery.Notify)},
		{"recovery/two_person", yes(a.Recovery.TwoPerson)}, {"recovery/cooling_off_hours", n(a.Recovery.CoolingOff)},
		{"passkey/user_verification", a.Passkey.UserVerification}, {"passkey/attestation", a.Passkey.Attestation}, {"passkey/require_attested", yes(a.Passkey.RequireAttested)},
		{"passkey/allow_aaguids", list(a.Passkey.Allow)}, {"passkey/deny_aaguids", list(a.Passkey.Deny)}, {"passkey/forbid_synced", yes(a.Passkey.ForbidSynced)},
		{"passkey/related_origins", list(a.Passkey.RelatedOrigins)},
		{"registration/allowed_domains", list(a.Registration.Domains)}, {"registration/groups", list(a.Registration.Groups)},
		{"languages", list(a.Languages)}, {"default_language", a.DefaultLanguage}, {"brand_name", a.BrandName}, {"brand_color", a.BrandColor},
		{"allow_impersonation", yes(a.AllowImpersonation)}, {"quiet_impersonation", yes(a.QuietImpersonation)},
	}
}
