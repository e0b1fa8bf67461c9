package register

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
)

const maxMetadata = 64 << 10 // bytes

// A Metadata is what an application says of itself: RFC 7591, section 2, OpenID Connect
// Registration 1.0, section 2, and what the RFCs about single features add. Pointers
// tell what was not said. Unknown members are ignored, as the RFC asks.
type Metadata struct {
	RedirectURIs    []string `json:"redirect_uris,omitempty"`
	AuthMethod      string   `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes      []string `json:"grant_types,omitempty"`
	ResponseTypes   []string `json:"response_types,omitempty"`
	Name            string   `json:"client_name,omitempty"`
	URI             string   `json:"client_uri,omitempty"`
	Logo            string   `json:"logo_uri,omitempty"`
	Scope           *string  `json:"scope,omitempty"`
	Contacts        []string `json:"contacts,omitempty"`
	Terms           string   `json:"tos_uri,omitempty"`
	Policy          string   `json:"policy_uri,omitempty"`
	JWKSURI         string   `json:"jwks_uri,omitempty"`
	JWKS            rawSet   `json:"jwks,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`
	Statement       string   `json:"software_statement,omitempty"`
	ApplicationType string   `json:"application_type,omitempty"`

	SectorURI     string   `json:"sector_identifier_uri,omitempty"`
	SubjectType   string   `json:"subject_type,omitempty"`
	IDTokenAlg    string   `json:"id_token_signed_response_alg,omitempty"`
	IDTokenEncAlg string   `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEnc    string   `json:"id_token_encrypted_response_enc,omitempty"`
	UserinfoAlg   string   `json:"userinfo_signed_response_alg,omitempty"`
	UserinfoEncA  string   `json:"userinfo_encrypted_response_alg,omitempty"`
	UserinfoEnc   string   `json:"userinfo_encrypted_response_enc,omitempty"`
	ObjectAlg     string   `json:"request_object_signing_alg,omitempty"`
	AuthAlg       string   `json:"token_endpoint_auth_signing_alg,omitempty"`
	MaxAge        int64    `json:"default_max_age,omitempty"`
	AuthTime      bool     `json:"require_auth_time,omitempty"`
	ACRs          []string `json:"default_acr_values,omitempty"`
	RequestURIs   []string `json:"request_uris,omitempty"`

	PostLogoutURIs      []string `json:"post_logout_redirect_uris,omitempty"`
	Backchannel         string   `json:"backchannel_logout_uri,omitempty"`
	BackchannelSession  bool     `json:"backchannel_logout_session_required,omitempty"`
	Frontchannel        string   `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelSession bool     `json:"frontchannel_logout_session_required,omitempty"`

	RequirePAR     bool     `json:"require_pushed_authorization_requests,omitempty"`
	RequireSigned  bool     `json:"require_signed_request_object,omitempty"`
	ResponseAlg    string   `json:"authorization_signed_response_alg,omitempty"`
	DetailTypes    []string `json:"authorization_details_types,omitempty"`
	DPoP           bool     `json:"dpop_bound_access_tokens,omitempty"`
	TLSBound       bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	TLSSubjectDN   string   `json:"tls_client_auth_subject_dn,omitempty"`
	TLSSANDNS      string   `json:"tls_client_auth_san_dns,omitempty"`
	TLSSANURI      string   `json:"tls_client_auth_san_uri,omitempty"`
	TLSSANIP       string   `json:"tls_client_auth_san_ip,omitempty"`
	TLSSANEmail    string   `json:"tls_client_auth_san_email,omitempty"`
	IntrospectAlg  string   `json:"introspection_signed_response_alg,omitempty"`
	IntrospectEncA string   `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectEnc  string   `json:"introspection_encrypted_response_enc,omitempty"`
	CIBAMode       string   `json:"backchannel_token_delivery_mode,omitempty"`
	CIBAEndpoint   string   `json:"backchannel_client_notification_endpoint,omitempty"`
}

// rawSet is a JWK set as it came.
type rawSet = json.RawMessage

// members are metadata with what registration adds to them.
type members struct {
	Metadata
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
}

// parse reads client metadata. A member twice is refused: two readers could take
// different ones.
func parse(body []byte) (*members, error) {
	malformed := fault(codeMetadata, "The body is not a JSON object of client metadata with each member once.")
	if len(body) > maxMetadata {
		return nil, fault(codeMetadata, "The metadata have more than 64 KiB.")
	}
	seen, err := names(body)
	if err != nil {
		return nil, malformed
	}
	var m members
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&m); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) && kind.Field != "" {
			return nil, fault(codeMetadata, "Member "+kind.Field+" is of the wrong type.")
		}
		return nil, malformed
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if slices.Contains(seen, name) {
			return nil, fault(codeMetadata, "Member "+name+" is for answers only.")
		}
	}
	if m.Statement != "" {
		return nil, fault(codeStatement, "Software statements are not accepted: no issuer of them is trusted here.")
	}
	if len(m.JWKS) > 0 && string(m.JWKS) == "null" {
		m.JWKS = nil
	}
	return &m, nil
}

// names returns the members of a JSON object, and refuses one that has a member twice, in
// whatever case: encoding/json takes redirect_uris and Redirect_URIs for the same.
func names(body []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(t.(string))
		if slices.Contains(seen, name) || len(seen) > 500 {
			return nil, errors.New("a member twice, or too many")
		}
		seen = append(seen, name)
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more after the object")
	}
	return seen, nil
}

// onto puts the metadata into an application. What they do not speak of stays.
func (m *Metadata) onto(a *federation.Application, p *Policy) error {
	for _, t := range m.ResponseTypes {
		if t != "code" {
			return fault(codeMetadata, "Response type "+t+" is not offered: code is the only one.")
		}
	}
	if m.ApplicationType != "" && m.ApplicationType != "web" && m.ApplicationType != "native" {
		return fault(codeMetadata, "application_type must be web or native.")
	}
	a.RedirectURIs, a.PostLogoutURIs, a.GrantTypes = m.RedirectURIs, m.PostLogoutURIs, m.GrantTypes
	if len(a.GrantTypes) == 0 {
		a.GrantTypes = []string{federation.GrantCode}
	}
	if a.Name = m.Name; a.Name == "" {
		a.Name = nameless(m)
	}
	a.IsPublic, a.Type = m.AuthMethod == federation.AuthNone, federation.TypeOIDC
	a.Auth = federation.ClientAuth{
		Method: m.AuthMethod, SigningAlg: m.AuthAlg, JWKS: m.JWKS, JWKSURI: m.JWKSURI,
		TLSSubjectDN: m.TLSSubjectDN, TLSSANDNS: m.TLSSANDNS, TLSSANURI: m.TLSSANURI, TLSSANIP: m.TLSSANIP, TLSSANEmail: m.TLSSANEmail,
	}
	if m.AuthMethod == "" {
		a.Auth.Method = federation.AuthBasic
	}
	if a.AllowedScopes == nil { // a change that does not speak of scopes leaves them
		a.AllowedScopes = p.AllowedScopes()
	}
	if m.Scope != nil {
		a.AllowedScopes = strings.Fields(*m.Scope)
	}
	a.ClientURI, a.IconURL, a.Contacts, a.TermsURI, a.PolicyURI = m.URI, m.Logo, m.Contacts, m.Terms, m.Policy
	a.Registration.SoftwareID, a.Registration.SoftwareVersion = clip(m.SoftwareID), clip(m.SoftwareVersion)
	m.settings(a)
	return nil
}

// settings are those that have a group of their own in an application.
func (m *Metadata) settings(a *federation.Application) {
	a.SigningAlg = m.IDTokenAlg
	a.Tokens = federation.TokenSettings{
		IDToken: federation.Encryption{Alg: m.IDTokenEncAlg, Enc: m.IDTokenEnc}, UserinfoAlg: m.UserinfoAlg,
		Userinfo: federation.Encryption{Alg: m.UserinfoEncA, Enc: m.UserinfoEnc}, IntrospectionAlg: m.IntrospectAlg,
		IntrospectionMore: federation.Encryption{Alg: m.IntrospectEncA, Enc: m.IntrospectEnc},
		DPoPBound:         m.DPoP, TLSBound: m.TLSBound, DefaultMaxAge: m.MaxAge, RequireAuthTime: m.AuthTime, DefaultACRs: m.ACRs,
	}
	a.Requests = federation.RequestSettings{
		RequirePAR: m.RequirePAR, RequireSigned: m.RequireSigned, ObjectAlg: m.ObjectAlg, URIs: m.RequestURIs, ResponseAlg: m.ResponseAlg, DetailTypes: m.DetailTypes,
	}
	a.Logout = federation.LogoutSettings{
		BackchannelURI: m.Backchannel, BackchannelSession: m.BackchannelSession, FrontchannelURI: m.Frontchannel, FrontchannelSession: m.FrontchannelSession,
	}
	a.Subject.Type, a.Subject.SectorURI = m.SubjectType, m.SectorURI
	a.CIBA = federation.CIBASettings{Mode: m.CIBAMode, EndpointURI: m.CIBAEndpoint}
}

// nameless is what an application is called that says no name: the host it leads to.
func nameless(m *Metadata) string {
	if len(m.RedirectURIs) > 0 {
		if u, err := url.Parse(m.RedirectURIs[0]); err == nil && u.Hostname() != "" {
			return u.Hostname()
		}
	}
	return "Unnamed application"
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200]
	}
	return strings.ToValidUTF8(s, "")
}

// metadataOf is what is registered of an application, defaults included (RFC 7591, section 3.2.1).
func metadataOf(a *federation.Application) Metadata {
	scope := strings.Join(a.AllowedScopes, " ")
	t, r, l, c := &a.Tokens, &a.Requests, &a.Logout, &a.Auth
	m := Metadata{
		RedirectURIs: a.RedirectURIs, AuthMethod: c.Method, GrantTypes: a.GrantTypes, Name: a.Name, URI: a.ClientURI, Logo: a.IconURL, Scope: &scope,
		Contacts: a.Contacts, Terms: a.TermsURI, Policy: a.PolicyURI, JWKSURI: c.JWKSURI, JWKS: c.JWKS, SoftwareID: a.Registration.SoftwareID,
		SoftwareVersion: a.Registration.SoftwareVersion, SectorURI: a.Subject.SectorURI, SubjectType: a.Subject.Type, IDTokenAlg: a.SigningAlg,
		IDTokenEncAlg: t.IDToken.Alg, IDTokenEnc: t.IDToken.Enc, UserinfoAlg: t.UserinfoAlg, UserinfoEncA: t.Userinfo.Alg, UserinfoEnc: t.Userinfo.Enc,
		ObjectAlg: r.ObjectAlg, AuthAlg: c.SigningAlg, MaxAge: t.DefaultMaxAge, AuthTime: t.RequireAuthTime, ACRs: t.DefaultACRs, RequestURIs: r.URIs,
		PostLogoutURIs: a.PostLogoutURIs, Backchannel: l.BackchannelURI, BackchannelSession: l.BackchannelSession, Frontchannel: l.FrontchannelURI,
		FrontchannelSession: l.FrontchannelSession, RequirePAR: r.RequirePAR, RequireSigned: r.RequireSigned, ResponseAlg: r.ResponseAlg, DetailTypes: r.DetailTypes,
		DPoP: t.DPoPBound, TLSBound: t.TLSBound, TLSSubjectDN: c.TLSSubjectDN, TLSSANDNS: c.TLSSANDNS, TLSSANURI: c.TLSSANURI, TLSSANIP: c.TLSSANIP,
		TLSSANEmail: c.TLSSANEmail, IntrospectAlg: t.IntrospectionAlg, IntrospectEncA: t.IntrospectionMore.Alg, IntrospectEnc: t.IntrospectionMore.Enc,
		CIBAMode: a.CIBA.Mode, CIBAEndpoint: a.CIBA.EndpointURI,
	}
	if m.IDTokenAlg == "" {
		m.IDTokenAlg = "ES256"
	}
	if m.SubjectType == "" {
		m.SubjectType = federation.SubjectPublic
	}
	if a.Allows(federation.GrantCode) {
		m.ResponseTypes = []string{"code"}
	}
	return m
}
