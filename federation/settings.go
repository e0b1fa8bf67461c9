package federation

import (
	"time"

	"github.com/quis-idp/quis/federation/claim"
)

// Ways of consent, see Application.Consent.
const (
	ConsentImplicit = "implicit" // first party: nobody is asked
	ConsentExplicit = "explicit" // asked once, and remembered
	ConsentAlways   = "always"   // asked each time
)

// What an application asks of second factors, see Application.MFAPolicy and
// identity/policy. The strictest of application, groups and tenant holds.
const (
	MFAInherit  = "inherit"
	MFADisabled = "disabled" // none, which takes back nothing that others ask for
	MFAAny      = "any"
	MFAOTP      = "otp"
	MFAPasskey  = "passkey"

	MFADeviceBound = "device_bound" // a passkey that never leaves its device, or a certificate of such a kind
)

// AsksForMFA reports whether a asks for a second factor of its own.
func (a *Application) AsksForMFA() bool {
	return a.MFAPolicy != "" && a.MFAPolicy != MFAInherit && a.MFAPolicy != MFADisabled
}

// Methods of client authentication (OpenID Connect Core, section 9; RFC 8705, section 2).
const (
	AuthBasic         = "client_secret_basic"
	AuthPost          = "client_secret_post"
	AuthSecretJWT     = "client_secret_jwt"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"
	AuthSelfSignedTLS = "self_signed_tls_client_auth"
	AuthNone          = "none"
)

// Grant types beyond those of RFC 6749.
const (
	GrantDevice    = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628
	GrantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
	GrantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523
	GrantCIBA      = "urn:openid:params:grant-type:ciba"               // OpenID CIBA Core, section 4
)

// ProfileFAPI2 is the FAPI 2.0 security profile.
const ProfileFAPI2 = "fapi2"

// Kinds of subject identifiers (OpenID Connect Core, section 8).
const (
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
)

// Where an application comes from, see Registration.Kind.
const (
	RegisteredByAdmin    = ""
	RegisteredByClient   = "dynamic"  // RFC 7591
	RegisteredByDocument = "metadata" // its client_id is the URL of its metadata
)

// ClientAuth says how an application proves at our endpoints that it is itself.
type ClientAuth struct {
	Method     string `cbor:"1,keyasint,omitempty"` // "": client_secret_basic or _post
	SigningAlg string `cbor:"2,keyasint,omitempty"` // of its assertions; "": any of the allowed ones
	JWKS       []byte `cbor:"3,keyasint,omitempty"` // its public keys as a JWK set; or
	JWKSURI    string `cbor:"4,keyasint,omitempty"` // where they are
	// One of these names the certificate with tls_client_auth (RFC 8705, section 2.1.2).
	TLSSubjectDN string `cbor:"5,keyasint,omitempty"`
	TLSSANDNS    string `cbor:"6,keyasint,omitempty"`
	TLSSANURI    string `cbor:"7,keyasint,omitempty"`
	TLSSANEmail  string `cbor:"8,keyasint,omitempty"`
	TLSSANIP     string `cbor:"9,keyasint,omitempty"`
}

// Encryption says how something is encrypted to the application (RFC 7516); empty: it is not.
type Encryption struct {
	Alg string `cbor:"1,keyasint,omitempty"`
	Enc string `cbor:"2,keyasint,omitempty"` // "": A128CBC-HS256
}

// TokenSettings say what an application's tokens look like, beyond their life and algorithm.
type TokenSettings struct {
	IDToken           Encryption `cbor:"1,keyasint,omitzero"`
	UserinfoAlg       string     `cbor:"2,keyasint,omitempty"` // signed userinfo; "": plain JSON
	Userinfo          Encryption `cbor:"3,keyasint,omitzero"`
	IntrospectionAlg  string     `cbor:"4,keyasint,omitempty"` // RFC 9701
	DPoPBound         bool       `cbor:"5,keyasint,omitempty"` // access tokens must be bound to a DPoP key
	TLSBound          bool       `cbor:"6,keyasint,omitempty"` // or to its certificate
	DefaultMaxAge     int64      `cbor:"7,keyasint,omitempty"` // seconds; 0: none
	RequireAuthTime   bool       `cbor:"8,keyasint,omitempty"`
	DefaultACRs       []string   `cbor:"9,keyasint,omitempty"`
	IntrospectionMore Encryption `cbor:"10,keyasint,omitzero"`
}

// RequestSettings say what an application's authorization requests must be like.
type RequestSettings struct {
	RequirePAR    bool     `cbor:"1,keyasint,omitempty"` // RFC 9126, section 6
	RequireSigned bool     `cbor:"2,keyasint,omitempty"` // RFC 9101, section 10.5
	ObjectAlg     string   `cbor:"3,keyasint,omitempty"` // of its request objects; "": any of the allowed ones
	URIs          []string `cbor:"4,keyasint,omitempty"` // request_uris that may be fetched
	ResponseAlg   string   `cbor:"5,keyasint,omitempty"` // of JARM; "": that of its tokens
	DetailTypes   []string `cbor:"6,keyasint,omitempty"` // types of authorization_details that it may ask for (RFC 9396)
}

// LogoutSettings say how an application is told that a session has ended.
type LogoutSettings struct {
	BackchannelURI      string `cbor:"1,keyasint,omitempty"`
	BackchannelSession  bool   `cbor:"2,keyasint,omitempty"` // sid is required
	FrontchannelURI     string `cbor:"3,keyasint,omitempty"`
	FrontchannelSession bool   `cbor:"4,keyasint,omitempty"`
}

// RefreshPolicy is how refresh tokens live. Zero means what holds in general.
type RefreshPolicy struct {
	Idle     int64 `cbor:"1,keyasint,omitempty"` // seconds unused
	Absolute int64 `cbor:"2,keyasint,omitempty"` // seconds altogether
	// Keep lets a refresh token that is bound to a key be used again and again (RFC 9700,
	// section 4.14.2: sender-constrained or rotated).
	Keep bool `cbor:"3,keyasint,omitempty"`
}

// SubjectPolicy is what an application is told a user is called.
type SubjectPolicy struct {
	Type      string `cbor:"1,keyasint,omitempty"` // "": SubjectPublic
	SectorURI string `cbor:"2,keyasint,omitempty"` // sector_identifier_uri, checked when it was registered
	Sector    string `cbor:"3,keyasint,omitempty"` // the host that counts
}

// A ClaimMapping adds a claim to what tokens say; package claim gives it its meaning.
type ClaimMapping = claim.Mapping

// ExchangePolicy is what an application may do by token exchange (RFC 8693); nothing by default.
type ExchangePolicy struct {
	From        []string `cbor:"1,keyasint,omitempty"` // client_ids whose tokens it may exchange; its own always
	Impersonate bool     `cbor:"2,keyasint,omitempty"` // may be given tokens that do not name it as the actor
	Audiences   []string `cbor:"3,keyasint,omitempty"` // that it may ask for
}

// Ways in which a client learns that a user has decided (OpenID CIBA Core, section 5).
const (
	CIBAPoll = "poll"
	CIBAPing = "ping"
)

// CIBASettings are how an application uses decoupled sign-in (OpenID CIBA Core, section 4).
type CIBASettings struct {
	Mode        string `cbor:"1,keyasint,omitempty"` // CIBAPoll or CIBAPing; "": CIBAPoll
	EndpointURI string `cbor:"2,keyasint,omitempty"` // where it is pinged
}

// A Registration tells of an application that no administrator made.
type Registration struct {
	Kind            string    `cbor:"1,keyasint,omitempty"`
	Key             uint32    `cbor:"2,keyasint,omitempty"` // sealing key of the MAC
	MAC             []byte    `cbor:"3,keyasint,omitempty"` // of its registration access token (RFC 7592)
	SoftwareID      string    `cbor:"4,keyasint,omitempty"`
	SoftwareVersion string    `cbor:"5,keyasint,omitempty"`
	Initial         string    `cbor:"6,keyasint,omitempty"` // ID of the initial access token that it came by
	Expires         time.Time `cbor:"7,keyasint,omitempty"` // unless it is used before; zero: never
}

// A TrustedIssuer may vouch for users by assertions (RFC 7523, section 2.1).
type TrustedIssuer struct {
	Issuer   string   `cbor:"1,keyasint,omitempty"`
	JWKS     []byte   `cbor:"2,keyasint,omitempty"`
	JWKSURI  string   `cbor:"3,keyasint,omitempty"`
	Subject  string   `cbor:"4,keyasint,omitempty"` // what sub is: id, username or email
	Scopes   []string `cbor:"5,keyasint,omitempty"` // that it may give
	Lifetime int64    `cbor:"6,keyasint,omitempty"` // seconds that an assertion may live; 0: 300
}
