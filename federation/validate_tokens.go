package federation

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/identity"
)

const (
	maxRefresh = 400 * 24 * 3600 // seconds
	minRefresh = 300
)

func (a *Application) checkTokens() error {
	t := &a.Tokens
	for _, f := range []struct {
		field string
		e     Encryption
	}{
		{"id_token_encrypted_response", t.IDToken}, {"userinfo_encrypted_response", t.Userinfo}, {"introspection_encrypted_response", t.IntrospectionMore},
	} {
		if err := a.checkEncryption(f.field, f.e); err != nil {
			return err
		}
	}
	for _, f := range [][2]string{{"userinfo_signed_response_alg", t.UserinfoAlg}, {"introspection_signed_response_alg", t.IntrospectionAlg}} {
		if err := oneOf(f[0], f[1], SigningAlgs...); err != nil {
			return err
		}
	}
	if t.Userinfo.Alg != "" && t.UserinfoAlg == "" {
		return identity.Invalid("userinfo_encrypted_response_alg", "needs userinfo_signed_response_alg: what is only encrypted, anybody could have written")
	}
	if t.IntrospectionMore.Alg != "" && t.IntrospectionAlg == "" {
		return identity.Invalid("introspection_encrypted_response_alg", "needs introspection_signed_response_alg")
	}
	if t.DPoPBound && t.TLSBound {
		return identity.Invalid("dpop_bound_access_tokens", "tokens are bound to one key: choose dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens")
	}
	if t.DefaultMaxAge < 0 || t.DefaultMaxAge > maxRefresh {
		return identity.Invalid("default_max_age", fmt.Sprintf("must be 0 to %d seconds", maxRefresh))
	}
	return labels("default_acr_values", t.DefaultACRs, func(s string) bool { return !strings.ContainsAny(s, " \t\r\n\"\\") })
}

func (a *Application) checkEncryption(field string, e Encryption) error {
	if err := oneOf(field+"_alg", e.Alg, jose.KeyAlgs...); err != nil {
		return err
	}
	if err := oneOf(field+"_enc", e.Enc, jose.ContentAlgs...); err != nil {
		return err
	}
	if e.Enc != "" && e.Alg == "" {
		return identity.Invalid(field+"_enc", "needs "+field+"_alg")
	}
	if e.Alg == "" || a.Auth.JWKSURI != "" {
		return nil
	}
	set, err := jose.ParseSet(a.Auth.JWKS)
	if err != nil {
		return identity.Invalid(field+"_alg", "needs a key to encrypt to: jwks or jwks_uri")
	}
	if _, err := set.Encrypting(e.Alg); err != nil {
		return identity.Invalid(field+"_alg", "jwks has no key that fits it")
	}
	return nil
}

func (a *Application) checkRequests() error {
	r := &a.Requests
	if err := oneOf("request_object_signing_alg", r.ObjectAlg, jose.Asymmetric...); err != nil {
		return err
	}
	if err := oneOf("authorization_signed_response_alg", r.ResponseAlg, SigningAlgs...); err != nil {
		return err
	}
	if (r.RequireSigned || r.ObjectAlg != "") && len(a.Auth.JWKS) == 0 && a.Auth.JWKSURI == "" {
		return identity.Invalid("require_signed_request_object", "needs jwks or jwks_uri with the key that signs")
	}
	if len(r.URIs) > 10 {
		return identity.Invalid("request_uris", "must be at most 10")
	}
	for _, u := range r.URIs {
		plain, _, _ := strings.Cut(u, "#") // a hash of the object may follow (OpenID Connect Registration, section 2)
		if err := fetchable("request_uris", plain); err != nil {
			return err
		}
	}
	return labels("authorization_details_types", r.DetailTypes, ValidScope)
}

func (a *Application) checkLifetimes() error {
	r := &a.Refresh
	if r.Idle != 0 && (r.Idle < minRefresh || r.Idle > maxRefresh) {
		return identity.Invalid("refresh_token_idle", fmt.Sprintf("must be 0 or %d to %d seconds", minRefresh, maxRefresh))
	}
	if r.Absolute != 0 && (r.Absolute < minRefresh || r.Absolute > maxRefresh || r.Absolute < r.Idle) {
		return identity.Invalid("refresh_token_absolute", fmt.Sprintf("must be 0 or %d to %d seconds, and not less than refresh_token_idle", minRefresh, maxRefresh))
	}
	if r.Keep && !a.Tokens.DPoPBound && !a.Tokens.TLSBound && (a.IsPublic || !a.Auth.usesKeys()) {
		return identity.Invalid("refresh_token_rotation", "may be off only where refresh tokens are bound to a key (RFC 9700, section 4.14.2): "+
			"set dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens")
	}
	return fetchable("sector_identifier_uri", a.Subject.SectorURI)
}

func (a *Application) checkExchange() error {
	for _, f := range []struct {
		field string
		list  []string
	}{{"token_exchange_from", a.Exchange.From}, {"token_exchange_audiences", a.Exchange.Audiences}} {
		if err := labels(f.field, f.list, func(s string) bool { return identity.Printable(s, maxName) == s && !strings.Contains(s, " ") }); err != nil {
			return err
		}
	}
	if err := oneOf("backchannel_token_delivery_mode", a.CIBA.Mode, "poll", "ping"); err != nil {
		return err
	}
	if a.CIBA.Mode == "ping" && a.CIBA.EndpointURI == "" {
		return identity.Invalid("backchannel_client_notification_endpoint", "ping needs one")
	}
	return fetchable("backchannel_client_notification_endpoint", a.CIBA.EndpointURI)
}

// checkProfile refuses settings that contradict the FAPI 2.0 Security Profile (section
// 5.3.2): what it asks of requests is asked of them anyway.
func (a *Application) checkProfile() error {
	if err := oneOf("profile", a.Profile, ProfileFAPI2); err != nil || a.Profile == "" {
		return err
	}
	bad := func(why string) error { return identity.Invalid("profile", "fapi2 "+why) }
	switch {
	case a.IsPublic:
		return bad("is for applications that authenticate")
	case !a.Auth.usesKeys():
		return bad("needs token_endpoint_auth_method private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
	case !a.Tokens.DPoPBound && !a.Tokens.TLSBound:
		return bad("needs dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens")
	}
	for _, alg := range []string{a.SigningAlg, a.Auth.SigningAlg, a.Requests.ObjectAlg, a.Requests.ResponseAlg, a.Tokens.UserinfoAlg, a.Tokens.IntrospectionAlg} {
		if alg != "" && !slices.Contains(jose.FAPI, alg) {
			return bad("allows the algorithms " + strings.Join(jose.FAPI, ", ") + " only")
		}
	}
	for _, r := range a.RedirectURIs {
		if u, err := url.Parse(r); err != nil || IsPattern(r) || u.Scheme != "https" && !isLoopback(u.Hostname()) {
			return bad("needs redirect URIs that are https and written out")
		}
	}
	return nil
}
