package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys"
)

const (
	typAccess = "at+jwt" // RFC 9068, section 2.1
	typID     = "JWT"
)

// tokens are what one request gets.
type tokens struct {
	access, id, refresh string
	scope               []string
}

// accessToken are the claims of RFC 9068, section 2.2, and the family.
type accessToken struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Family   string   `json:"fid,omitempty"`

	Details json.RawMessage      `json:"authorization_details,omitempty"` // RFC 9396, section 9.1
	Confirm *family.Confirmation `json:"cnf,omitempty"`                   // RFC 7800, section 3.1
	Actor   *actor               `json:"act,omitempty"`                   // RFC 8693, section 4.1
	MayAct  *actor               `json:"may_act,omitempty"`               // likewise, section 4.4; only ever by a claim mapping
}

// An actor is who acts for the subject, and for whom that one does.
type actor struct {
	Subject  string `json:"sub"`
	ClientID string `json:"client_id,omitempty"`
	Actor    *actor `json:"act,omitempty"`
}

// idToken are the claims of OpenID Connect Core, section 2, and those of the scopes.
type idToken struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   string   `json:"aud"`
	Expires    int64    `json:"exp"`
	Issued     int64    `json:"iat"`
	AuthTime   int64    `json:"auth_time,omitempty"`
	Nonce      string   `json:"nonce,omitempty"`
	ACR        string   `json:"acr,omitempty"`
	AMR        []string `json:"amr,omitempty"`
	Authorized string   `json:"azp,omitempty"`
	Session    string   `json:"sid,omitempty"`
	AccessHash string   `json:"at_hash,omitempty"`
	federation.Claims
}

func algOf(app *federation.Application) keys.Alg {
	if app.SigningAlg == "" {
		return keys.ES256
	}
	return keys.Alg(app.SigningAlg)
}

// sign signs with the application's algorithm. The first token of an algorithm
// that the tenant has no key for makes one.
func (p *Provider) sign(ctx context.Context, ex *exchange, app *federation.Application, typ string, claims any) (string, error) {
	alg := ex.algOf(app, typ)
	ex.alg = string(alg)
	token, err := p.keys.Sign(ctx, ex.tenant.ID, alg, typ, claims)
	if !errors.Is(err, fsm.ErrNotFound) {
		return token, err
	}
	if err := p.keys.Ensure(ctx, ex.tenant.ID, alg); err != nil {
		return "", fmt.Errorf("first key for %s: %w", alg, err)
	}
	return p.keys.Sign(ctx, ex.tenant.ID, alg, typ, claims)
}

// mintAccess signs an access token for the family, or without one for the application itself.
func (p *Provider) mintAccess(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family) (string, error) {
	now := p.db.Now().Unix()
	var jti [16]byte
	rand.Read(jti[:])
	c := accessToken{
		Issuer: ex.tenant.Issuer, Subject: ex.subject, Audience: ex.audience(), ClientID: app.ClientID,
		Issued: now, Expires: now + ex.accessLife(app),
		ID: base64.RawURLEncoding.EncodeToString(jti[:]), Scope: strings.Join(ex.scope, " "),
		Details: ex.details, Actor: ex.actor,
	}
	if ex.confirm.Bound() {
		c.Confirm = &ex.confirm
	}
	if f != nil {
		c.AuthTime, c.ACR, c.AMR, c.Family = f.AuthTime, f.ACR, f.AMR, f.ID.String()
	}
	token, err := p.sign(ctx, ex, app, typAccess, &c)
	if err != nil {
		return "", fmt.Errorf("access token: %w", err)
	}
	return token, nil
}

// mintFamily makes all tokens of a family as it stands. id is a template with
// what only the caller knows; nil: no ID token.
func (p *Provider) mintFamily(ctx context.Context, ex *exchange, app *federation.Application, h family.Held, id *idToken) (tokens, error) {
	f := h.Family
	ex.subject = f.UserID
	t := tokens{scope: ex.scope}
	var err error
	if len(f.Salt) > 0 {
		if t.refresh, err = family.MintToken(p.ring, f, h.Index); err != nil {
			return tokens{}, err
		}
	}
	if t.access, err = p.mintAccess(ctx, ex, app, f); err != nil {
		return tokens{}, err
	}
	if id == nil || !slices.Contains(ex.scope, federation.ScopeOpenID) {
		return t, nil
	}
	if t.id, err = p.mintID(ctx, ex, app, f, id, t.access); err != nil {
		return tokens{}, fmt.Errorf("ID token: %w", err)
	}
	return t, nil
}

func (p *Provider) mintID(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family, id *idToken, access string) (string, error) {
	now := p.db.Now().Unix()
	id.Issuer, id.Subject, id.Audience, id.Authorized = ex.tenant.Issuer, f.UserID, app.ClientID, app.ClientID
	id.Issued, id.Expires = now, now+ex.life(app)
	id.AuthTime, id.ACR, id.AMR, id.Session = f.AuthTime, f.ACR, f.AMR, f.SessionID
	id.AccessHash = tokenHash(algOf(app), access)
	err := p.db.Read(ctx, func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, f.Tenant, f.UserID)
		if err != nil {
			return err
		}
		id.Claims, err = federation.ClaimsOf(tx, app, u, ex.scope)
		return err
	})
	if err != nil {
		return "", err
	}
	return p.sign(ctx, ex, app, typID, id)
}

// tokenHash is at_hash: the left half of the hash that belongs to the ID token's
// algorithm (OpenID Connect Core, section 3.1.3.6); SHA-512 for Ed25519.
func tokenHash(alg keys.Alg, token string) string {
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
