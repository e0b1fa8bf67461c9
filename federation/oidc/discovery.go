package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/keys"
)

// document is the metadata of OpenID Connect Discovery, section 3, and of RFC 8414.
type document struct {
	Issuer                 string   `json:"issuer"`
	Authorization          string   `json:"authorization_endpoint"`
	Token                  string   `json:"token_endpoint"`
	Userinfo               string   `json:"userinfo_endpoint"`
	JWKS                   string   `json:"jwks_uri"`
	EndSession             string   `json:"end_session_endpoint"`
	Revocation             string   `json:"revocation_endpoint"`
	Introspection          string   `json:"introspection_endpoint"`
	Scopes                 []string `json:"scopes_supported"`
	ResponseTypes          []string `json:"response_types_supported"`
	ResponseModes          []string `json:"response_modes_supported"`
	Grants                 []string `json:"grant_types_supported"`
	Subjects               []string `json:"subject_types_supported"`
	IDTokenAlgs            []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth              []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuth         []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuth      []string `json:"introspection_endpoint_auth_methods_supported"`
	Claims                 []string `json:"claims_supported"`
	Challenges             []string `json:"code_challenge_methods_supported"`
	Prompts                []string `json:"prompt_values_supported"`
	PAR                    string   `json:"pushed_authorization_request_endpoint"`
	ACRs                   []string `json:"acr_values_supported"`
	ObjectAlgs             []string `json:"request_object_signing_alg_values_supported"`
	ResponseAlgs           []string `json:"authorization_signing_alg_values_supported"` // JARM, section 3
	Device                 string   `json:"device_authorization_endpoint"`              // RFC 8628, section 4
	Decoupled              string   `json:"backchannel_authentication_endpoint"`        // OpenID CIBA Core, section 4
	DecoupledModes         []string `json:"backchannel_token_delivery_modes_supported"`
	DecoupledUserCode      bool     `json:"backchannel_user_code_parameter_supported"`
	TokenAuthAlgs          []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthAlgs     []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthAlgs  []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgs               []string `json:"dpop_signing_alg_values_supported"`               // RFC 9449, section 5.1
	TLSBound               bool     `json:"tls_client_certificate_bound_access_tokens"`      // RFC 8705, section 3.3
	DetailTypes            []string `json:"authorization_details_types_supported,omitempty"` // RFC 9396, section 10
	IssParameter           bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter        bool     `json:"claims_parameter_supported"`
	RequestParameter       bool     `json:"request_parameter_supported"`
	RequestURIParameter    bool     `json:"request_uri_parameter_supported"`
	RequireRequestURIFirst bool     `json:"require_request_uri_registration"`
	Registration           string   `json:"registration_endpoint,omitempty"` // where somebody may register
	ClientDocuments        bool     `json:"client_id_metadata_document_supported"`
	logoutMetadata
	answerMetadata
}

// tlsSupport is what can be done with TLS client certificates as the nodes are configured.
type tlsSupport struct{ certificates, authorities bool }

// methods are the ways of client authentication of whoever can keep something secret.
func (s tlsSupport) methods() []string {
	m := []string{federation.AuthBasic, federation.AuthPost, federation.AuthSecretJWT, federation.AuthPrivateKeyJWT}
	if s.authorities {
		m = append(m, federation.AuthTLS)
	}
	if s.certificates {
		m = append(m, federation.AuthSelfSignedTLS)
	}
	return m
}

func describe(issuer string, tls tlsSupport) document {
	methods := tls.methods()
	public := append(slices.Clone(methods), federation.AuthNone)
	d := document{
		Issuer:          issuer,
		Authorization:   issuer + authorizePath,
		Token:           issuer + "/oauth2/token",
		Userinfo:        issuer + "/oauth2/userinfo",
		JWKS:            issuer + "/.well-known/jwks.json",
		EndSession:      issuer + logoutPath,
		Revocation:      issuer + "/oauth2/revoke",
		Introspection:   issuer + "/oauth2/introspect",
		Scopes:          []string{federation.ScopeOpenID, federation.ScopeProfile, federation.ScopeEmail, federation.ScopeGroups, federation.ScopeRoles, federation.ScopeOffline},
		ResponseTypes:   []string{"code"},
		ResponseModes:   front.Modes,
		Grants:          []string{federation.GrantCode, federation.GrantRefresh, federation.GrantClientCredentials, federation.GrantDevice, federation.GrantCIBA, federation.GrantExchange, federation.GrantJWTBearer},
		Subjects:        []string{federation.SubjectPublic, federation.SubjectPairwise},
		Claims:          append([]string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid", "at_hash", "c_hash"}, federation.SupportedClaims...),
		Challenges:      []string{"S256"},
		Prompts:         prompts,
		PAR:             issuer + parPath,
		ACRs:            authn.ACRs,
		ObjectAlgs:      jose.Asymmetric,
		TokenAuth:       public,
		RevocationAuth:  public,
		DPoPAlgs:        jose.Asymmetric,
		TLSBound:        tls.certificates,
		Device:          issuer + devicePath,
		Decoupled:       issuer + decoupledPath,
		DecoupledModes:  []string{federation.CIBAPoll, federation.CIBAPing},
		IssParameter:    true,
		ClaimsParameter: true, RequestParameter: true, RequestURIParameter: true, RequireRequestURIFirst: true,
	}
	d.answerMetadata = describeAnswers()
	d.logoutMetadata = logoutMetadata{true, true, true, true}
	d.IntrospectionAuth = methods
	d.TokenAuthAlgs = slices.Concat(jose.Asymmetric, jose.Symmetric)
	d.RevocationAuthAlgs, d.IntrospectionAuthAlgs = d.TokenAuthAlgs, d.TokenAuthAlgs
	for _, a := range keys.Algs {
		d.IDTokenAlgs = append(d.IDTokenAlgs, string(a))
		d.ResponseAlgs = append(d.ResponseAlgs, string(a))
	}
	return d
}

// discovery serves the metadata under both well-known names.
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	t := identity.TenantFrom(r.Context())
	d := describe(t.Issuer, p.tls)
	err := p.db.View(r.Context(), func(tx *fsm.Tx) (err error) {
		if d.DetailTypes, err = resource.OpenTypes(tx, t.ID); err != nil {
			return err
		}
		policy, _, err := register.GetPolicy(tx, t.ID)
		if err != nil {
			return err
		}
		if policy.Mode == register.Token || policy.Mode == register.Open {
			d.Registration = t.Issuer + register.Path
		}
		if open, err := registers(tx, t.ID); err != nil {
			return err
		} else if open {
			d.Prompts = append(slices.Clone(d.Prompts), promptCreate)
		}
		d.ClientDocuments = policy.Documents && p.documents != nil
		return nil
	})
	body, fault := json.MarshalIndent(d, "", "  ")
	if err = errors.Join(err, fault); err != nil {
		p.writeError(w, r, fmt.Errorf("metadata: %w", err))
		return
	}
	publish(w, "application/json", body, 300)
}

const (
	jwksPatience = 300 * time.Millisecond
	jwksStaleAge = 5 // seconds
)

// jwks serves the public keys for as long as a new key is announced before it signs. A
// key in it is believed by everybody, so it is looked at whether one was revoked
// meanwhile. Where that cannot be known the keys are served all the same, or an outage of
// the cluster would be one of all applications, but nobody may keep them for long.
func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	t := identity.TenantFrom(r.Context())
	maxAge := int(p.keys.Policy().JWKSMaxAge.Seconds())
	short, cancel := context.WithTimeout(r.Context(), jwksPatience)
	defer cancel()
	if p.fresh(short) != nil {
		maxAge = min(maxAge, jwksStaleAge)
	}
	body, err := p.keys.JWKS(r.Context(), t.ID)
	if errors.Is(err, fsm.ErrNotFound) {
		if err = p.keys.Ensure(r.Context(), t.ID, keys.ES256); err == nil {
			body, err = p.keys.JWKS(r.Context(), t.ID)
		}
	}
	if err != nil {
		p.writeError(w, r, fmt.Errorf("JWKS: %w", err))
		return
	}
	publish(w, "application/jwk-set+json", body, maxAge)
}

// publish answers with what anybody may read and keep for a while, in seconds.
func publish(w http.ResponseWriter, kind string, body []byte, maxAge int) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}
