package federation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/identity"
)

const (
	maxName    = 200 // bytes
	maxText    = 2000
	maxURIs    = 50
	maxScopes  = 100
	maxLabels  = 50 // tags, contacts, origins and the like
	minExpiry  = 60 // seconds
	maxExpiry  = 24 * 3600
	maxClient  = 128 // bytes of a client_id
	scopeBytes = 100 // of one scope
)

// SigningAlgs are the algorithms that tokens may be signed with.
var SigningAlgs = []string{"ES256", "RS256", "PS256", "EdDSA"}

// Check reports the first field that cannot be accepted, as identity.ErrInvalid. It is
// what Create and Update ask; what needs the store or the network is not in it.
func (a *Application) Check() error {
	for _, rule := range []func() error{
		a.checkNames, a.validateGrants, func() error { return checkScopes(a.AllowedScopes) }, a.validateURIs,
		func() error { return claim.Check(a.Claims) },
		a.checkAuth, a.checkKeys, a.checkTokens, a.checkRequests, a.checkLogout, a.checkLifetimes, a.checkExchange, a.checkIssuers, a.checkProfile,
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Application) validate() error {
	if a.Tenant == "" {
		return identity.Invalid("tenant", "must be set")
	}
	if err := a.checkID(); err != nil {
		return err
	}
	return a.Check()
}

func (a *Application) checkNames() error {
	if strings.TrimSpace(a.Name) == "" || len(a.Name) > maxName {
		return identity.Invalid("name", fmt.Sprintf("must have 1 to %d bytes", maxName))
	}
	for _, f := range []struct {
		field, text string
		most        int
	}{
		{"friendly_name", a.FriendlyName, maxName}, {"app_group", a.AppGroup, maxName}, {"owner", a.Owner, maxName}, {"description", a.Description, maxText},
	} {
		if len(f.text) > f.most {
			return identity.Invalid(f.field, fmt.Sprintf("must have at most %d bytes", f.most))
		}
	}
	if err := labels("contacts", a.Contacts, func(s string) bool { return identity.Printable(s, maxName) == s }); err != nil {
		return err
	}
	if err := labels("tags", a.Tags, func(s string) bool {
		return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") == ""
	}); err != nil {
		return err
	}
	if a.Type != TypeOIDC && a.Type != TypeSPA {
		return identity.Invalid("type", "must be oidc or spa")
	}
	if a.TokenExpiry < minExpiry || a.TokenExpiry > maxExpiry {
		return identity.Invalid("token_expiry", fmt.Sprintf("must be %d to %d seconds", minExpiry, maxExpiry))
	}
	if err := oneOf("signing_alg", a.SigningAlg, SigningAlgs...); err != nil {
		return err
	}
	if !slices.Contains([]string{"", MFAInherit, MFADisabled, MFAAny, MFAOTP, MFAPasskey, MFADeviceBound}, a.MFAPolicy) {
		return identity.Invalid("mfa_policy", "must be one of inherit, disabled, any, otp, passkey, device_bound")
	}
	return oneOf("consent_mode", a.Consent, ConsentImplicit, ConsentExplicit, ConsentAlways)
}

// oneOf refuses a value that is neither empty nor one of those.
func oneOf(field, value string, known ...string) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return identity.Invalid(field, fmt.Sprintf("%q is not one of %s", identity.Printable(value, 80), strings.Join(known, ", ")))
}

// labels refuses a list that is too long, or has an entry twice, an empty or an unfit one.
func labels(field string, list []string, fits func(string) bool) error {
	if len(list) > maxLabels {
		return identity.Invalid(field, fmt.Sprintf("must be at most %d", maxLabels))
	}
	for i, s := range list {
		if s == "" || len(s) > maxName || !fits(s) || slices.Contains(list[:i], s) {
			return identity.Invalid(field, fmt.Sprintf("%q is malformed or given twice", identity.Printable(s, 80)))
		}
	}
	return nil
}

// checkID keeps to characters that mean the same whether or not a client encodes them
// in its Authorization header (RFC 6749, section 2.3.1). An application that is known
// by its metadata document is called by the URL of that.
func (a *Application) checkID() error {
	if a.Registration.Kind == RegisteredByDocument {
		return nil
	}
	id := a.ClientID
	if id == "" || len(id) > maxClient {
		return identity.Invalid("client_id", fmt.Sprintf("must have 1 to %d characters", maxClient))
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0) {
			return identity.Invalid("client_id", "may hold letters, digits and - . _ ~ only")
		}
	}
	return nil
}

// GrantTypes are all grant types that there are.
var GrantTypes = []string{GrantCode, GrantRefresh, GrantClientCredentials, GrantDevice, GrantExchange, GrantJWTBearer, GrantCIBA}

func (a *Application) validateGrants() error {
	for i, g := range a.GrantTypes {
		if !slices.Contains(GrantTypes, g) || slices.Contains(a.GrantTypes[:i], g) {
			return identity.Invalid("grant_types", fmt.Sprintf("%q is unknown or given twice", identity.Printable(g, 120)))
		}
		if a.IsPublic && slices.Contains([]string{GrantClientCredentials, GrantExchange, GrantJWTBearer, GrantCIBA}, g) {
			return identity.Invalid("grant_types", g+" needs an application that keeps a secret")
		}
	}
	if len(a.GrantTypes) == 0 {
		return identity.Invalid("grant_types", "must name at least one")
	}
	if a.Allows(GrantRefresh) && !a.Allows(GrantCode) && !a.Allows(GrantDevice) && !a.Allows(GrantCIBA) {
		return identity.Invalid("grant_types", "refresh_token needs authorization_code, or another grant with a person in it")
	}
	if a.Allows(GrantCode) && len(a.RedirectURIs) == 0 {
		return identity.Invalid("redirect_uris", "must not be empty: authorization_code needs at least one")
	}
	return nil
}

func checkScopes(scopes []string) error {
	if len(scopes) > maxScopes {
		return identity.Invalid("allowed_scopes", fmt.Sprintf("must be at most %d", maxScopes))
	}
	for i, s := range scopes {
		if !ValidScope(s) || slices.Contains(scopes[:i], s) {
			return identity.Invalid("allowed_scopes", fmt.Sprintf("%q is malformed or given twice", identity.Printable(s, 120)))
		}
	}
	return nil
}

// ValidScope reports whether s is one well-formed scope (RFC 6749, section 3.3).
func ValidScope(s string) bool {
	if s == "" || len(s) > scopeBytes {
		return false
	}
	for _, c := range []byte(s) {
		if c <= 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}
