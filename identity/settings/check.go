package settings

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/language"
)

// Bounds of lists and text.
const (
	maxList   = 100
	maxGroups = 50
	maxBrand  = 60 // bytes
)

var (
	aaguidForm   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	domainForm   = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)
	languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)
)

// faults collects what is wrong, by field as the API spells it.
type faults struct{ all []error }

func (f *faults) unless(good bool, field, detail string) {
	if !good {
		f.all = append(f.all, identity.Invalid(field, detail))
	}
}

func (f *faults) within(n, low, high int64, field string) {
	f.unless(n >= low && n <= high, field, fmt.Sprintf("must be %d to %d", low, high))
}

func (f *faults) oneOf(v string, all []string, field string) {
	f.unless(slices.Contains(all, v), field, "must be one of "+strings.Join(all, ", "))
}

// each asks the same of all entries of a list, which may not repeat.
func (f *faults) each(list []string, most int, field, want string, good func(string) bool) {
	f.unless(len(list) <= most, field, fmt.Sprintf("must have at most %d entries", most))
	seen := map[string]bool{}
	for i, v := range list {
		at := field + "/" + strconv.Itoa(i)
		f.unless(good(v), at, want)
		f.unless(!seen[v], at, "appears more than once")
		seen[v] = true
	}
}

// check reports everything that cannot be held.
func (a *Authentication) check() error {
	f := &faults{}
	a.checkMFA(f)
	a.checkWays(f)
	a.Password.check(f)
	a.Session.check(f)
	a.Recovery.check(f)
	a.Passkey.check(f)
	a.Registration.check(f)
	a.checkLook(f)
	return errors.Join(f.all...)
}

func (a *Authentication) checkMFA(f *faults) {
	f.oneOf(a.MFAPolicy, policies, "mfa_policy")
	known := []string{MethodTOTP, MethodPasskey, MethodApproval}
	f.each(a.MFAMethods, len(known), "mfa_allowed_methods", "must be one of "+strings.Join(known, ", "), func(s string) bool { return slices.Contains(known, s) })
	need := map[string]string{MFAOTP: MethodTOTP, MFAPasskey: MethodPasskey, MFADeviceBound: MethodPasskey}[a.MFAPolicy]
	f.unless(need == "" || slices.Contains(a.MFAMethods, need), "mfa_allowed_methods", fmt.Sprintf("must have %s, which mfa_policy %s demands", need, a.MFAPolicy))
	alone := slices.Contains(a.MFAMethods, MethodTOTP) || slices.Contains(a.MFAMethods, MethodPasskey)
	f.unless(a.MFAPolicy == MFADisabled || alone, "mfa_allowed_methods", "must have totp or passkey when a second factor is demanded: nobody has an approval before one of them")
	f.within(a.MFAGrace, 0, 100, "mfa_enrollment_grace")
	f.within(a.MFAReauth, 0, 7*24*60, "mfa_reauth_interval_minutes")
	f.within(a.TrustedDevices, 0, 365, "trusted_device_duration_days")
}

// checkWays keeps a tenant from locking everybody out, the administrator who does it included.
func (a *Authentication) checkWays(f *faults) {
	f.unless(a.LocalLogin, "allow_local_login", "cannot be off yet: there is no other provider that people could sign in through")
	f.unless(a.PasswordLogin || a.PasskeyLogin, "allow_password_login", "must be on, or allow_passkey_login: else nobody could sign in without mail")
	f.unless(a.PasswordLogin || !a.ForgotPassword, "allow_forgot_password", "must be off where nobody signs in by password")
}

func (p *Password) check(f *faults) {
	f.within(p.MinLength, strength.Shortest, strength.LongestMinimum, "password/min_length")
	f.within(p.Strength, 0, 4, "password/min_strength")
	f.within(p.History, 0, 24, "password/history")
	f.within(p.MaxAge, 0, 3650, "password/max_age_days")
	f.unless(len(strings.Join(p.Blocklist, "")) <= maxWordBytes, "password/blocklist", "must have at most 16384 bytes in all its words")
	f.each(p.Blocklist, strength.MaxBlocked, "password/blocklist", "must be a word of 3 to 64 characters, without a space at its ends", strength.Blockable)
}

func (s *Session) check(f *faults) {
	f.within(s.Idle, 5, 30*24*60, "session/idle_minutes")
	f.within(s.Absolute, 5, 90*24*60, "session/absolute_minutes")
	f.unless(s.Idle <= s.Absolute, "session/idle_minutes", "must not be more than absolute_minutes")
	f.within(s.RememberMe, 0, 365, "session/remember_me_days")
	f.within(s.Sensitive, 1, 24*60, "session/sensitive_reauth_minutes")
}

var proofs = []string{"email", "totp", "recovery_code", "passkey"}

func (r *Recovery) check(f *faults) {
	f.each(r.Methods, 10, "recovery/methods", "must be proofs joined by +, each at most once, of "+strings.Join(proofs, ", "), func(s string) bool {
		parts := strings.Split(s, "+")
		slices.Sort(parts)
		return len(slices.Compact(slices.Clone(parts))) == len(parts) && !slices.ContainsFunc(parts, func(p string) bool { return !slices.Contains(proofs, p) })
	})
	f.within(r.Delay, 0, 30*24, "recovery/delay_hours")
	f.within(r.CoolingOff, 0, 30*24, "recovery/cooling_off_hours")
}

// checkLetters refuses a combination without email that is new: every recovery begins with a letter, so that one says
// less than is asked. One that was taken once stays, and keeps nobody from deciding something else.
func (r *Recovery) checkLetters(old *Recovery) error {
	for i, m := range r.Methods {
		if !slices.Contains(strings.Split(m, "+"), "email") && !slices.Contains(old.Methods, m) {
			return identity.Invalid("recovery/methods/"+strconv.Itoa(i), "must have email, with a letter to which every recovery begins: email+"+m)
		}
	}
	return nil
}

func (p *Passkey) check(f *faults) {
	f.oneOf(p.UserVerification, []string{"required", "preferred", "discouraged"}, "passkey/user_verification")
	f.oneOf(p.Attestation, []string{"none", "indirect", "direct", "enterprise"}, "passkey/attestation")
	f.unless(!p.RequireAttested || p.Attestation == "direct" || p.Attestation == "enterprise", "passkey/attestation", "must be direct or enterprise where require_attested is on")
	aaguid := "must be an AAGUID in lower case, as 00000000-0000-0000-0000-000000000000"
	f.each(p.Allow, maxList, "passkey/allow_aaguids", aaguid, aaguidForm.MatchString)
	f.each(p.Deny, maxList, "passkey/deny_aaguids", aaguid, aaguidForm.MatchString)
	f.unless(len(p.Allow) == 0 || p.Attestation != "none", "passkey/attestation", "must not be none where allow_aaguids are named: without attestation the AAGUID may be anything")
	f.each(p.RelatedOrigins, 20, "passkey/related_origins", "must be an origin such as https://example.org", origin)
}

func (r *Registration) check(f *faults) {
	f.each(r.Domains, maxList, "registration/allowed_domains", "must be a domain in lower case, such as example.com", func(s string) bool { return len(s) <= 253 && domainForm.MatchString(s) })
	f.each(r.Groups, maxGroups, "registration/groups", "must be the ID of a group", func(s string) bool { return s != "" })
}

// checkGroups refuses a group that is named now and is not there. One that was named before,
// and has been deleted since, keeps nobody from deciding something else.
func (a *Authentication) checkGroups(tx *fsm.Tx, old *Authentication) error {
	for i, g := range a.Registration.Groups {
		if slices.Contains(old.Registration.Groups, g) {
			continue
		}
		_, _, err := directory.GetGroup(tx, a.Tenant, g)
		if errors.Is(err, fsm.ErrNotFound) {
			return identity.Invalid("registration/groups/"+strconv.Itoa(i), "must be the ID of a group")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkLanguages refuses languages that pages and mail are not in. One that old has, which was accepted
// once, keeps nobody from deciding something else.
func (a *Authentication) checkLanguages(old *Authentication) error {
	var f faults
	spoken := func(name, field string) {
		_, ok := language.Match(name)
		f.unless(ok, field, identity.Printable(name, 64)+" is a language that pages and mail are not in; they are in "+strings.Trim(fmt.Sprint(language.All), "[]"))
	}
	for i, name := range a.Languages {
		if !slices.Contains(old.Languages, name) {
			spoken(name, "languages/"+strconv.Itoa(i))
		}
	}
	if a.DefaultLanguage != "" && a.DefaultLanguage != old.DefaultLanguage {
		spoken(a.DefaultLanguage, "default_language")
	}
	return errors.Join(f.all...)
}

func origin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && len(s) <= 200 && s == strings.ToLower("https://"+u.Host)
}

func (a *Authentication) checkLook(f *faults) {
	f.each(a.Languages, 50, "languages", "must be a language tag such as de or pt-BR", languageForm.MatchString)
	switch {
	case a.DefaultLanguage == "":
	case !languageForm.MatchString(a.DefaultLanguage):
		f.unless(false, "default_language", "must be a language tag such as de or pt-BR")
	default:
		f.unless(len(a.Languages) == 0 || slices.Contains(a.Languages, a.DefaultLanguage), "default_language", "must be one of languages")
	}
	f.unless(len(a.BrandName) <= maxBrand && a.BrandName == strings.TrimSpace(identity.Printable(a.BrandName, maxBrand)), "brand_name", fmt.Sprintf("must be plain text of at most %d bytes", maxBrand))
	if err := CheckColor(a.BrandColor); err != nil {
		f.all = append(f.all, err)
	}
}
