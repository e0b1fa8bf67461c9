package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/identity"
)

const (
	// A userinfo answer has no typ, so that it passes for neither of our tokens.
	typUserinfo      = ""
	typIntrospection = "token-introspection+jwt" // RFC 9701, section 5
	mediaJWT         = "application/jwt"
	mediaIntrospect  = "application/token-introspection+jwt"
)

// answerMetadata says in the metadata how answers can be signed and encrypted.
type answerMetadata struct {
	IDTokenKeyAlgs       []string `json:"id_token_encryption_alg_values_supported"`
	IDTokenEncs          []string `json:"id_token_encryption_enc_values_supported"`
	UserinfoAlgs         []string `json:"userinfo_signing_alg_values_supported"`
	UserinfoKeyAlgs      []string `json:"userinfo_encryption_alg_values_supported"`
	UserinfoEncs         []string `json:"userinfo_encryption_enc_values_supported"`
	IntrospectionAlgs    []string `json:"introspection_signing_alg_values_supported"` // RFC 9701, section 7
	IntrospectionKeyAlgs []string `json:"introspection_encryption_alg_values_supported"`
	IntrospectionEncs    []string `json:"introspection_encryption_enc_values_supported"`
}

func describeAnswers() answerMetadata {
	algs := federation.SigningAlgs
	return answerMetadata{
		jose.KeyAlgs, jose.ContentAlgs, algs, jose.KeyAlgs, jose.ContentAlgs, algs, jose.KeyAlgs, jose.ContentAlgs,
	}
}

var errEncryption = refuse(codeInvalidRequest, "The registered keys of the application hold none that can be encrypted to.")

// encryptTo encrypts text to the application if it wants that, and returns it as it is
// otherwise. Where it cannot be done there is no answer: never one in the clear.
func (p *Provider) encryptTo(ctx context.Context, app *federation.Application, e federation.Encryption, text, typ, content string) (string, error) {
	if e.Alg == "" {
		return text, nil
	}
	set, err := p.sets.Of(ctx, app.Auth.JWKS, app.Auth.JWKSURI, false)
	if err == nil {
		var box string
		how := jose.Encryption{Alg: e.Alg, Enc: e.Enc, Type: typ, ContentType: content}
		if box, err = how.Encrypt(set, []byte(text)); err == nil {
			return box, nil
		}
	}
	p.log.WarnContext(ctx, "nothing is issued, since it cannot be encrypted to the application", "application", app.ID, "error", err)
	return "", errEncryption
}

// signPlain signs what is no token of a grant.
func (p *Provider) signPlain(ctx context.Context, alg, typ string, claims any) (string, error) {
	return p.sign(ctx, &exchange{tenant: identity.TenantFrom(ctx)}, &federation.Application{SigningAlg: alg}, typ, claims)
}

// writeUserinfo answers as the application has registered: JSON, signed, encrypted, or
// signed and then encrypted (OpenID Connect Core, section 5.3.2).
func (p *Provider) writeUserinfo(w http.ResponseWriter, r *http.Request, app *federation.Application, info any) error {
	t := &app.Tokens
	if t.UserinfoAlg == "" && t.Userinfo.Alg == "" {
		writeJSON(w, http.StatusOK, info)
		return nil
	}
	text, err := json.Marshal(info)
	if err != nil {
		return err
	}
	out, content := string(text), ""
	if t.UserinfoAlg != "" {
		issuer := identity.TenantFrom(r.Context()).Issuer
		signed, err := withMembers(text, map[string]string{"iss": issuer, "aud": app.ClientID})
		if err != nil {
			return err
		}
		if out, err = p.signPlain(r.Context(), t.UserinfoAlg, typUserinfo, signed); err != nil {
			return fmt.Errorf("userinfo: %w", err)
		}
		content = "JWT"
	}
	if out, err = p.encryptTo(r.Context(), app, t.Userinfo, out, "", content); err != nil {
		return err
	}
	writeText(w, mediaJWT, out)
	return nil
}

// withMembers puts members into a JSON object.
func withMembers(object []byte, members map[string]string) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	for name, value := range members {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return json.Marshal(all)
}

// introspectedJWT is a signed answer of introspection (RFC 9701, section 5). What it says
// of the token is within one member, and there is neither sub nor exp beside it, so that
// it passes for no token.
type introspectedJWT struct {
	Issuer   string        `json:"iss"`
	Audience string        `json:"aud"`
	Issued   int64         `json:"iat"`
	Answer   *introspected `json:"token_introspection"`
}

// wantsJWT reports whether the caller prefers a signed answer (RFC 9701, section 4).
func wantsJWT(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(accept, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(kind), mediaIntrospect) {
				return true
			}
		}
	}
	return false
}

// writeIntrospection answers an authenticated application.
func (p *Provider) writeIntrospection(w http.ResponseWriter, r *http.Request, app *federation.Application, answer *introspected) error {
	if !wantsJWT(r) {
		writeJSON(w, http.StatusOK, answer)
		return nil
	}
	alg := app.Tokens.IntrospectionAlg
	if alg == "" {
		alg = string(algOf(app))
	}
	ctx := r.Context()
	out, err := p.signPlain(ctx, alg, typIntrospection, &introspectedJWT{
		Issuer: identity.TenantFrom(ctx).Issuer, Audience: app.ClientID, Issued: p.db.Now().Unix(), Answer: answer,
	})
	if err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	if out, err = p.encryptTo(ctx, app, app.Tokens.IntrospectionMore, out, typIntrospection, "JWT"); err != nil {
		return err
	}
	writeText(w, mediaIntrospect, out)
	return nil
}

// writeText answers with a JWT, which no cache may keep.
func writeText(w http.ResponseWriter, kind, text string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(text)) // the client has left: nobody to tell
}
