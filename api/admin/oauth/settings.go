package oauth

import (
	"encoding/json"

	"github.com/quis-idp/quis/federation"
)

// authFields say how an application proves that it is itself.
type authFields struct {
	AuthMethod     string          `json:"token_endpoint_auth_method" enum:"client_secret_basic|client_secret_post|client_secret_jwt|private_key_jwt|tls_client_auth|self_signed_tls_client_auth|none|" doc:"How it authenticates. Empty: by its secret, as client_secret_basic or client_secret_post."`
	AuthSigningAlg string          `json:"token_endpoint_auth_signing_alg" max:"16" doc:"Algorithm of its assertions; empty: any that is allowed."`
	JWKS           json.RawMessage `json:"jwks,omitempty" doc:"Its public keys as a JWK set; {} takes them away. Either this or jwks_uri."`
	JWKSURI        string          `json:"jwks_uri" max:"2000" doc:"Where its public keys are: https, public, and fetched when needed. Either this or jwks."`
	TLSSubjectDN   string          `json:"tls_client_auth_subject_dn" max:"1000" doc:"With tls_client_auth, one of five: subject of its certificate (RFC 4514)."`
	TLSSANDNS      string          `json:"tls_client_auth_san_dns" max:"1000" doc:"A DNS name in its certificate."`
	TLSSANURI      string          `json:"tls_client_auth_san_uri" max:"1000" doc:"A URI in its certificate."`
	TLSSANEmail    string          `json:"tls_client_auth_san_email" max:"1000" doc:"An email address in its certificate."`
	TLSSANIP       string          `json:"tls_client_auth_san_ip" max:"64" doc:"An IP address in its certificate."`
	Profile        string          `json:"profile" enum:"fapi2|" doc:"fapi2: the FAPI 2.0 Security Profile holds for all it does."`
	AllowedOrigins []string        `json:"allowed_origins" max:"50" item_max:"200" doc:"Origins whose scripts may use the token endpoint for it; none: all."`
}

func authOf(p *federation.Application) authFields {
	a := &p.Auth
	return authFields{
		AuthMethod: a.Method, AuthSigningAlg: a.SigningAlg, JWKS: a.JWKS, JWKSURI: a.JWKSURI,
		TLSSubjectDN: a.TLSSubjectDN, TLSSANDNS: a.TLSSANDNS, TLSSANURI: a.TLSSANURI, TLSSANEmail: a.TLSSANEmail, TLSSANIP: a.TLSSANIP,
		Profile: p.Profile, AllowedOrigins: list(p.AllowedOrigins),
	}
}

func (f *authFields) onto(p *federation.Application) {
	p.Auth = federation.ClientAuth{
		Method: f.AuthMethod, SigningAlg: f.AuthSigningAlg, JWKS: keySet(f.JWKS), JWKSURI: f.JWKSURI,
		TLSSubjectDN: f.TLSSubjectDN, TLSSANDNS: f.TLSSANDNS, TLSSANURI: f.TLSSANURI, TLSSANEmail: f.TLSSANEmail, TLSSANIP: f.TLSSANIP,
	}
	p.Profile, p.AllowedOrigins = f.Profile, f.AllowedOrigins
}

// tokenFields say what its tokens are like.
type tokenFields struct {
	SigningAlg       string   `json:"signing_alg" enum:"ES256|RS256|PS256|EdDSA|" doc:"Algorithm that signs its tokens; empty: ES256."`
	IDTokenOnRefresh bool     `json:"id_token_on_refresh" doc:"Whether a refresh answers with a new ID token."`
	IDTokenAlg       string   `json:"id_token_encrypted_response_alg" max:"32" doc:"ID tokens are encrypted to its key with this algorithm; empty: they are not."`
	IDTokenEnc       string   `json:"id_token_encrypted_response_enc" max:"32" doc:"By default A128CBC-HS256."`
	UserinfoAlg      string   `json:"userinfo_signed_response_alg" enum:"ES256|RS256|PS256|EdDSA|" doc:"Userinfo is a JWT signed with it; empty: plain JSON."`
	UserinfoEncAlg   string   `json:"userinfo_encrypted_response_alg" max:"32" doc:"Userinfo is encrypted to its key with this algorithm; empty: it is not."`
	UserinfoEnc      string   `json:"userinfo_encrypted_response_enc" max:"32" doc:"By default A128CBC-HS256."`
	IntrospectionAlg string   `json:"introspection_signed_response_alg" enum:"ES256|RS256|PS256|EdDSA|" doc:"Introspection answers with a JWT signed with it (RFC 9701) if asked for one."`
	IntrospectEncAlg string   `json:"introspection_encrypted_response_alg" max:"32" doc:"Introspection answers are encrypted to its key with this algorithm; empty: they are not."`
	IntrospectEnc    string   `json:"introspection_encrypted_response_enc" max:"32" doc:"By default A128CBC-HS256."`
	DPoPBound        bool     `json:"dpop_bound_access_tokens" doc:"Whether its tokens must be bound to a key of its own (RFC 9449)."`
	TLSBound         bool     `json:"tls_client_certificate_bound_access_tokens" doc:"Whether its tokens must be bound to its certificate (RFC 8705)."`
	DefaultMaxAge    int64    `json:"default_max_age" min:"0" max:"34560000" doc:"Seconds since a person signed in, at most, unless a request says otherwise; 0: any."`
	RequireAuthTime  bool     `json:"require_auth_time" doc:"Whether auth_time is in every ID token."`
	DefaultACRs      []string `json:"default_acr_values" max:"10" item_max:"200" doc:"Asked for unless a request says otherwise."`
	SubjectType      string   `json:"subject_type" enum:"public|pairwise" default:"public" doc:"pairwise: it knows people by names that no other sector knows."`
	SectorURI        string   `json:"sector_identifier_uri" max:"2000" doc:"With pairwise: where the redirect URIs of the sector are listed."`
	RefreshIdle      int64    `json:"refresh_token_idle" min:"0" max:"34560000" doc:"Seconds that a refresh token is good unused; 0: what holds in general."`
	RefreshAbsolute  int64    `json:"refresh_token_absolute" min:"0" max:"34560000" doc:"Seconds that refreshing goes on altogether; 0: what holds in general."`
	RefreshRotation  bool     `json:"refresh_token_rotation" default:"true" doc:"Whether a refresh token is good once. May be off only where it is bound to a key."`
}

func tokensOf(p *federation.Application) tokenFields {
	t := &p.Tokens
	return tokenFields{
		SigningAlg: p.SigningAlg, IDTokenOnRefresh: p.IDTokenOnRefresh, IDTokenAlg: t.IDToken.Alg, IDTokenEnc: t.IDToken.Enc,
		UserinfoAlg: t.UserinfoAlg, UserinfoEncAlg: t.Userinfo.Alg, UserinfoEnc: t.Userinfo.Enc,
		IntrospectionAlg: t.IntrospectionAlg, IntrospectEncAlg: t.IntrospectionMore.Alg, IntrospectEnc: t.IntrospectionMore.Enc,
		DPoPBound: t.DPoPBound, TLSBound: t.TLSBound, DefaultMaxAge: t.DefaultMaxAge, RequireAuthTime: t.RequireAuthTime, DefaultACRs: list(t.DefaultACRs),
		SubjectType: or(p.Subject.Type, federation.SubjectPublic), SectorURI: p.Subject.SectorURI,
		RefreshIdle: p.Refresh.Idle, RefreshAbsolute: p.Refresh.Absolute, RefreshRotation: !p.Refresh.Keep,
	}
}

func (f *tokenFields) onto(p *federation.Application) {
	p.SigningAlg, p.IDTokenOnRefresh = f.SigningAlg, f.IDTokenOnRefresh
	p.Tokens = federation.TokenSettings{
		IDToken: federation.Encryption{Alg: f.IDTokenAlg, Enc: f.IDTokenEnc}, UserinfoAlg: f.UserinfoAlg,
		Userinfo: federation.Encryption{Alg: f.UserinfoEncAlg, Enc: f.UserinfoEnc}, IntrospectionAlg: f.IntrospectionAlg,
		IntrospectionMore: federation.Encryption{Alg: f.IntrospectEncAlg, Enc: f.IntrospectEnc},
		DPoPBound:         f.DPoPBound, TLSBound: f.TLSBound, DefaultMaxAge: f.DefaultMaxAge, RequireAuthTime: f.RequireAuthTime, DefaultACRs: f.DefaultACRs,
	}
	p.Subject.Type, p.Subject.SectorURI = unless(f.SubjectType, federation.SubjectPublic), f.SectorURI
	p.Refresh = federation.RefreshPolicy{Idle: f.RefreshIdle, Absolute: f.RefreshAbsolute, Keep: !f.RefreshRotation}
}

// requestFields say what its requests must be like, and what it may ask for.
type requestFields struct {
	RequirePAR          bool     `json:"require_pushed_authorization_requests" doc:"Whether authorization requests must be pushed (RFC 9126)."`
	RequireSigned       bool     `json:"require_signed_request_object" doc:"Whether authorization requests must be signed (RFC 9101)."`
	ObjectAlg           string   `json:"request_object_signing_alg" max:"16" doc:"Algorithm of its request objects; empty: any that is allowed."`
	RequestURIs         []string `json:"request_uris" max:"10" item_max:"2000" doc:"Where its request objects may be fetched."`
	ResponseAlg         string   `json:"authorization_signed_response_alg" enum:"ES256|RS256|PS256|EdDSA|" doc:"Algorithm that signs its authorization responses; empty: that of its tokens."`
	DetailTypes         []string `json:"authorization_details_types" max:"50" item_max:"100" doc:"Types of authorization details that it may ask for (RFC 9396)."`
	ExchangeFrom        []string `json:"token_exchange_from" max:"50" item_max:"200" doc:"client_ids whose tokens it may exchange besides its own (RFC 8693)."`
	ExchangeAudiences   []string `json:"token_exchange_audiences" max:"50" item_max:"200" doc:"Audiences that it may exchange tokens for."`
	ExchangeImpersonate bool     `json:"token_exchange_impersonate" doc:"Whether it may be given tokens that do not name it as the actor."`
	CIBAMode            string   `json:"backchannel_token_delivery_mode" enum:"poll|ping|" doc:"How it learns that a decoupled sign-in has ended; empty: poll."`
	CIBAEndpoint        string   `json:"backchannel_client_notification_endpoint" max:"2000" doc:"Where it is pinged when a decoupled sign-in has ended."`
}

func requestsOf(p *federation.Application) requestFields {
	r := &p.Requests
	return requestFields{
		RequirePAR: r.RequirePAR, RequireSigned: r.RequireSigned, ObjectAlg: r.ObjectAlg, RequestURIs: list(r.URIs), ResponseAlg: r.ResponseAlg,
		DetailTypes: list(r.DetailTypes), ExchangeFrom: list(p.Exchange.From), ExchangeAudiences: list(p.Exchange.Audiences), ExchangeImpersonate: p.Exchange.Impersonate,
		CIBAMode: p.CIBA.Mode, CIBAEndpoint: p.CIBA.EndpointURI,
	}
}

func (f *requestFields) onto(p *federation.Application) {
	p.Requests = federation.RequestSettings{
		RequirePAR: f.RequirePAR, RequireSigned: f.RequireSigned, ObjectAlg: f.ObjectAlg, URIs: f.RequestURIs, ResponseAlg: f.ResponseAlg, DetailTypes: f.DetailTypes,
	}
	p.Exchange = federation.ExchangePolicy{From: f.ExchangeFrom, Audiences: f.ExchangeAudiences, Impersonate: f.ExchangeImpersonate}
	p.CIBA = federation.CIBASettings{Mode: f.CIBAMode, EndpointURI: f.CIBAEndpoint}
}

// noticeFields say how it is told that a session has ended.
type noticeFields struct {
	BackchannelURI      string `json:"backchannel_logout_uri" max:"2000" doc:"Where a logout token is sent when somebody signs out."`
	BackchannelSession  bool   `json:"backchannel_logout_session_required" doc:"Whether the logout token must name the session."`
	FrontchannelURI     string `json:"frontchannel_logout_uri" max:"2000" doc:"Loaded in a frame of the sign-out page."`
	FrontchannelSession bool   `json:"frontchannel_logout_session_required" doc:"Whether the URI must name the session."`
}

func noticesOf(p *federation.Application) noticeFields {
	l := &p.Logout
	return noticeFields{l.BackchannelURI, l.BackchannelSession, l.FrontchannelURI, l.FrontchannelSession}
}

func (f *noticeFields) onto(p *federation.Application) {
	p.Logout = federation.LogoutSettings{
		BackchannelURI: f.BackchannelURI, BackchannelSession: f.BackchannelSession, FrontchannelURI: f.FrontchannelURI, FrontchannelSession: f.FrontchannelSession,
	}
}
