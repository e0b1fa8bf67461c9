package federation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/identity"
)

const (
	maxName    = 200 // bytes
	maxText    = 2000
	maxURIs    = 50
	maxScopes  = 100
	minExpiry  = 60        // seconds
	maxExpiry  = 24 * 3600 // seconds
	maxClient  = 128       // bytes of a client_id
	scopeBytes = 100       // of one scope
)

// validate reports the first field that cannot be accepted, as identity.ErrInvalid.
func (a *Application) validate() error {
	if a.Tenant == "" {
		return identity.Invalid("tenant", "must be set")
	}
	if err := checkClientID(a.ClientID); err != nil {
		return err
	}
	if strings.TrimSpace(a.Name) == "" || len(a.Name) > maxName || len(a.FriendlyName) > maxName || len(a.AppGroup) > maxName {
		return identity.Invalid("name", fmt.Sprintf("must have 1 to %d bytes", maxName))
	}
	if len(a.Description) > maxText {
		return identity.Invalid("description", fmt.Sprintf("must have at most %d bytes", maxText))
	}
	if a.Type != TypeOIDC && a.Type != TypeSPA {
		return identity.Invalid("type", "must be oidc or spa")
	}
	if a.TokenExpiry < minExpiry || a.TokenExpiry > maxExpiry {
		return identity.Invalid("token_expiry", fmt.Sprintf("must be %d to %d seconds", minExpiry, maxExpiry))
	}
	if !slices.Contains([]string{"", "ES256", "RS256", "PS256", "EdDSA"}, a.SigningAlg) {
		return identity.Invalid("signing_alg", "must be ES256, RS256, PS256 or EdDSA")
	}
	if err := a.validateGrants(); err != nil {
		return err
	}
	if err := checkScopes(a.AllowedScopes); err != nil {
		return err
	}
	return a.validateURIs()
}

// checkClientID keeps to characters that mean the same whether or not a client
// encodes them in its Authorization header (RFC 6749, section 2.3.1).
func checkClientID(id string) error {
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

func (a *Application) validateGrants() error {
	known := []string{GrantCode, GrantRefresh, GrantClientCredentials, GrantDevice, GrantExchange, GrantCIBA}
	for i, g := range a.GrantTypes {
		if !slices.Contains(known, g) || slices.Contains(a.GrantTypes[:i], g) {
			return identity.Invalid("grant_types", fmt.Sprintf("%q is unknown or given twice", identity.Printable(g, 120)))
		}
	}
	if len(a.GrantTypes) == 0 {
		return identity.Invalid("grant_types", "must name at least one")
	}
	for _, g := range []string{GrantClientCredentials, GrantExchange, GrantCIBA} {
		if a.IsPublic && a.Allows(g) {
			return identity.Invalid("grant_types", g+" needs an application that keeps a secret")
		}
	}
	if a.Allows(GrantRefresh) && !a.Allows(GrantCode) && !a.Allows(GrantDevice) && !a.Allows(GrantCIBA) {
		return identity.Invalid("grant_types", "refresh_token needs a grant type by which a user lets the application in")
	}
	if a.Allows(GrantCode) && len(a.RedirectURIs) == 0 {
		return identity.Invalid("redirect_uris", "authorization_code needs at least one")
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

func (a *Application) validateURIs() error {
	for field, uris := range map[string][]string{"redirect_uris": a.RedirectURIs, "post_logout_uris": a.PostLogoutURIs} {
		if len(uris) > maxURIs {
			return identity.Invalid(field, fmt.Sprintf("must be at most %d", maxURIs))
		}
		for i, u := range uris {
			if err := checkRedirectURI(field, u, a.IsPublic); err != nil {
				return err
			}
			if slices.Contains(uris[:i], u) {
				return identity.Invalid(field, "\""+identity.Printable(u, 120)+"\" is given twice")
			}
		}
	}
	for field, u := range map[string]string{"launch_url": a.LaunchURL, "icon_url": a.IconURL} {
		if u == "" {
			continue
		}
		if err := checkRedirectURI(field, u, false); err != nil {
			return err
		}
	}
	return nil
}
