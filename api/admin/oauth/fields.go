package oauth

import (
	"encoding/json"
	"strings"

	"github.com/quis-idp/quis/federation"
)

// applicationFields are what can be set of an application, by the names of the
// applications' contract and, beyond it, of OAuth's registries.
type applicationFields struct {
	Name             string   `json:"name" required:"true" min:"1" max:"200" example:"My App" doc:"Name."`
	FriendlyName     string   `json:"friendly_name" max:"200" doc:"Label shown instead of the name."`
	Description      string   `json:"description" max:"2000" example:"Internal dashboard" doc:"For people."`
	Type             string   `json:"type" enum:"oidc|spa" default:"oidc" example:"oidc" doc:"oidc: runs on a server and keeps a secret; spa: runs in a browser, public."`
	RedirectURIs     []string `json:"redirect_uris" max:"50" item_max:"2000" example:"https://app.example.com/callback" doc:"Where a person may be sent back to; compared exactly. regex:… is a pattern (RE2) that must match the whole URI; scheme and host must stand at its beginning as plain text, like regex:^https://app\\.example\\.com/auth/callback.*."`
	PostLogoutURIs   []string `json:"post_logout_uris" max:"50" item_max:"2000" doc:"Where a person may be sent after signing out; compared exactly."`
	AllowedScopes    []string `json:"allowed_scopes" max:"100" item_max:"100" example:"openid profile email groups" doc:"Scopes that it may ask for; by default openid, profile, email, groups."`
	GrantTypes       []string `json:"grant_types" max:"7" item_enum:"authorization_code|refresh_token|client_credentials|urn:ietf:params:oauth:grant-type:device_code|urn:ietf:params:oauth:grant-type:token-exchange|urn:ietf:params:oauth:grant-type:jwt-bearer|urn:openid:params:grant-type:ciba" example:"authorization_code refresh_token" doc:"By default authorization_code and refresh_token."`
	IsPublic         bool     `json:"is_public" doc:"Whether it has no secret; decided when it is made."`
	RequirePKCE      bool     `json:"require_pkce" default:"true" doc:"PKCE is required of every application, whatever this says."`
	TokenExpiry      int64    `json:"token_expiry" min:"60" max:"86400" default:"3600" example:"3600" doc:"Life of access and ID tokens in seconds."`
	AccessRestricted bool     `json:"access_restricted" doc:"Whether only users and groups that were granted access may sign in."`
	ShowInDashboard  bool     `json:"show_in_dashboard" default:"true" doc:"Whether people see it among their applications."`
	LaunchURL        string   `json:"launch_url" max:"2000" example:"https://app.example.com" doc:"Where a person who opens it from their applications is led."`
	AppGroup         string   `json:"app_group" max:"200" doc:"Heading that it stands under among a person's applications."`
	IconURL          string   `json:"icon_url" max:"2000" doc:"Its icon."`
	MFAPolicy        string   `json:"mfa_policy" enum:"inherit|disabled|any|otp|passkey|device_bound" default:"inherit" doc:"Second factor that this application needs. The strictest of application, groups and tenant holds: disabled takes back nothing. device_bound: a passkey that never leaves its device, for which its maker answers only with passkey.require_attested."`
	Disabled         bool     `json:"disabled" doc:"Whether nobody can use it, and its tokens are refused."`
	ConsentMode      string   `json:"consent_mode" enum:"implicit|explicit|always" default:"implicit" doc:"implicit: first party, nobody is asked; explicit: asked once and remembered; always: asked each time."`
	Owner            string   `json:"owner" max:"200" doc:"Who answers for it."`
	Contacts         []string `json:"contacts" max:"50" item_max:"200" doc:"Of the people who answer for it."`
	Tags             []string `json:"tags" max:"50" item_max:"64" doc:"Lower-case words to find it by."`
	ClientURI        string   `json:"client_uri" max:"2000" doc:"Its home page."`
	PolicyURI        string   `json:"policy_uri" max:"2000" doc:"Its privacy policy, shown with the question for consent."`
	TermsURI         string   `json:"tos_uri" max:"2000" doc:"Its terms, shown with the question for consent."`
	authFields
	tokenFields
	requestFields
	noticeFields
	ClaimMappings  []claimMapping  `json:"claim_mappings" max:"50" doc:"Claims beyond those of the scopes."`
	TrustedIssuers []trustedIssuer `json:"trusted_issuers" max:"10" doc:"Who may vouch for users by assertions (RFC 7523)."`
}

type claimMapping struct {
	Claim         string   `json:"claim" required:"true" min:"1" max:"128" example:"department" doc:"Name of the claim."`
	Value         string   `json:"value" max:"1000" example:"${department}" doc:"Text with ${variables}; either this or expression."`
	Expression    string   `json:"expression" max:"2000" doc:"An expression in CEL; either this or value."`
	RequiredScope string   `json:"required_scope" max:"100" doc:"Scope without which the claim is left out."`
	In            []string `json:"in" max:"3" item_enum:"id_token|access_token|userinfo" doc:"Where it goes; by default the two tokens."`
	Required      bool     `json:"required" doc:"Whether there shall be no token rather than one without this claim."`
}

type trustedIssuer struct {
	Issuer      string          `json:"issuer" required:"true" min:"1" max:"2000" example:"https://issuer.example.com" doc:"Its name, as in iss."`
	JWKS        json.RawMessage `json:"jwks,omitempty" doc:"Its public keys as a JWK set; either this or jwks_uri."`
	JWKSURI     string          `json:"jwks_uri" max:"2000" example:"https://issuer.example.com/jwks" doc:"Where its public keys are; either this or jwks."`
	Subject     string          `json:"subject" enum:"id|username|email" default:"id" doc:"What sub is."`
	Scopes      []string        `json:"scopes" max:"100" item_max:"100" doc:"Scopes that it may give."`
	MaxLifetime int64           `json:"max_lifetime" min:"0" max:"3600" doc:"Seconds that an assertion may live; 0: 300."`
}

// newApplication is what a whole body is laid over.
var newApplication = applicationFields{
	Type: federation.TypeOIDC, TokenExpiry: federation.DefaultTokenExpiry, RequirePKCE: true, ShowInDashboard: true,
	MFAPolicy: federation.MFAInherit, ConsentMode: federation.ConsentImplicit,
	tokenFields: tokenFields{RefreshRotation: true, SubjectType: federation.SubjectPublic},
}

func fieldsOfApplication(p *federation.Application) applicationFields {
	f := applicationFields{
		Name: p.Name, FriendlyName: p.FriendlyName, Description: p.Description, Type: p.Type,
		RedirectURIs: list(p.RedirectURIs), PostLogoutURIs: list(p.PostLogoutURIs), AllowedScopes: list(p.AllowedScopes), GrantTypes: list(p.GrantTypes),
		IsPublic: p.IsPublic, RequirePKCE: p.RequirePKCE, TokenExpiry: p.TokenExpiry, AccessRestricted: p.AccessRestricted,
		ShowInDashboard: p.ShowInDashboard, LaunchURL: p.LaunchURL, AppGroup: p.AppGroup, IconURL: p.IconURL,
		MFAPolicy: or(p.MFAPolicy, federation.MFAInherit), Disabled: p.Disabled, ConsentMode: or(p.Consent, federation.ConsentImplicit),
		Owner: p.Owner, Contacts: list(p.Contacts), Tags: list(p.Tags), ClientURI: p.ClientURI, PolicyURI: p.PolicyURI, TermsURI: p.TermsURI,
		authFields: authOf(p), tokenFields: tokensOf(p), requestFields: requestsOf(p), noticeFields: noticesOf(p),
		ClaimMappings: []claimMapping{}, TrustedIssuers: []trustedIssuer{},
	}
	for _, m := range p.Claims {
		f.ClaimMappings = append(f.ClaimMappings, claimMapping{m.Claim, m.Value, m.Expression, m.RequiredScope, list(m.In), m.Required})
	}
	for _, t := range p.Issuers {
		f.TrustedIssuers = append(f.TrustedIssuers, trustedIssuer{t.Issuer, t.JWKS, t.JWKSURI, or(t.Subject, "id"), list(t.Scopes), t.Lifetime})
	}
	return f
}

// onto puts the fields into p, leaving what is as it is by default empty, so that an
// application of the first release's settings stays one.
func (f *applicationFields) onto(p *federation.Application) {
	p.Name, p.FriendlyName, p.Description, p.Type = f.Name, f.FriendlyName, f.Description, f.Type
	p.RedirectURIs, p.PostLogoutURIs, p.AllowedScopes, p.GrantTypes = f.RedirectURIs, f.PostLogoutURIs, f.AllowedScopes, f.GrantTypes
	p.IsPublic, p.RequirePKCE, p.TokenExpiry, p.AccessRestricted = f.IsPublic, f.RequirePKCE, f.TokenExpiry, f.AccessRestricted
	p.ShowInDashboard, p.LaunchURL, p.AppGroup, p.IconURL = f.ShowInDashboard, f.LaunchURL, f.AppGroup, f.IconURL
	p.MFAPolicy, p.Disabled, p.Consent = unless(f.MFAPolicy, federation.MFAInherit), f.Disabled, unless(f.ConsentMode, federation.ConsentImplicit)
	p.Owner, p.Contacts, p.Tags = f.Owner, f.Contacts, f.Tags
	p.ClientURI, p.PolicyURI, p.TermsURI = f.ClientURI, f.PolicyURI, f.TermsURI
	f.authFields.onto(p)
	f.tokenFields.onto(p)
	f.requestFields.onto(p)
	f.noticeFields.onto(p)
	p.Claims, p.Issuers = nil, nil
	for _, m := range f.ClaimMappings {
		p.Claims = append(p.Claims, federation.ClaimMapping{Claim: m.Claim, Value: m.Value, Expression: m.Expression, RequiredScope: m.RequiredScope, In: m.In, Required: m.Required})
	}
	for _, t := range f.TrustedIssuers {
		p.Issuers = append(p.Issuers, federation.TrustedIssuer{
			Issuer: t.Issuer, JWKS: keySet(t.JWKS), JWKSURI: t.JWKSURI, Subject: unless(t.Subject, "id"), Scopes: t.Scopes, Lifetime: t.MaxLifetime,
		})
	}
	trim(p)
}

// trim makes empty lists of later settings nil: only what is set is stored.
func trim(p *federation.Application) {
	for _, l := range []*[]string{
		&p.Contacts, &p.Tags, &p.AllowedOrigins, &p.Tokens.DefaultACRs, &p.Requests.URIs, &p.Requests.DetailTypes, &p.Exchange.From, &p.Exchange.Audiences,
	} {
		if len(*l) == 0 {
			*l = nil
		}
	}
}

// keySet is a JWK set as it is stored; {} takes it away.
func keySet(raw json.RawMessage) []byte {
	if strings.TrimSpace(string(raw)) == "{}" {
		return nil
	}
	return raw
}

func or(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}

// unless is "" for what is the standard anyway.
func unless(s, standard string) string {
	if s == standard {
		return ""
	}
	return s
}
