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
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/statement"
	"github.com/quis-idp/quis/fsm"
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
	Roles    []string `json:"roles,omitempty"` // RFC 9068, section 2.2.3.1; groups and entitlements are for mappings

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
	CodeHash   string   `json:"c_hash,omitempty"`
	Actor      *actor   `json:"act,omitempty"` // RFC 8693, section 4.1: an administrator who acts as the subject
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

// Where what is said goes.
var (
	intoAccess   = []string{claim.InAccessToken}
	intoBoth     = []string{claim.InAccessToken, claim.InIDToken}
	intoUserinfo = []string{claim.InUserinfo}
)

// say puts together what the tokens of one request say of the user. Nothing is read
// where there is nothing to be said.
func (p *Provider) say(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family, in []string) (statement.Statement, error) {
	if f == nil && len(app.Claims) == 0 {
		return statement.Statement{}, nil
	}
	q := statement.Question{App: app, Scopes: ex.scope, Requested: ex.claims, In: in, Request: claim.Request{Grant: ex.grant}}
	if f != nil {
		q.UserID = f.UserID
		q.Request.ACR, q.Request.AMR, q.Request.AuthTime = f.ACR, f.AMR, time.Unix(f.AuthTime, 0)
	}
	said, err := statement.Answer(ctx, p.db, p.claims, &q)
	if err != nil {
		return said, fmt.Errorf("claims: %w", err)
	}
	if f != nil { // else the grant knows: the application itself, or whom it had a token of
		ex.subject = said.Subject
	}
	return said, nil
}

// accessClaims are what an access token says; f is nil where the application acts for itself.
func (p *Provider) accessClaims(ex *exchange, app *federation.Application, f *family.Family, said *statement.Statement) (any, error) {
	now := p.db.Now().Unix()
	var jti [16]byte
	rand.Read(jti[:])
	c := &accessToken{
		Issuer: ex.tenant.Issuer, Subject: ex.subject, Audience: ex.audience(), ClientID: app.ClientID,
		Issued: now, Expires: now + ex.accessLife(app),
		ID: base64.RawURLEncoding.EncodeToString(jti[:]), Scope: strings.Join(ex.scope, " "),
		Details: ex.details, Actor: ex.actor, Roles: said.Roles,
	}
	if ex.confirm.Bound() {
		c.Confirm = &ex.confirm
	}
	if f != nil {
		c.AuthTime, c.ACR, c.AMR, c.Family = f.AuthTime, f.ACR, f.AMR, f.ID.String()
	}
	return said.Over(c, claim.InAccessToken)
}

// mintAccess signs an access token for the family, or without one for the application itself.
func (p *Provider) mintAccess(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family) (string, error) {
	said, err := p.say(ctx, ex, app, f, intoAccess)
	if err != nil {
		return "", err
	}
	return p.signAccess(ctx, ex, app, f, &said)
}

func (p *Provider) signAccess(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family, said *statement.Statement) (string, error) {
	c, err := p.accessClaims(ex, app, f, said)
	if err != nil {
		return "", fmt.Errorf("access token: %w", err)
	}
	token, err := p.sign(ctx, ex, app, typAccess, c)
	if err != nil {
		return "", fmt.Errorf("access token: %w", err)
	}
	return token, nil
}

// mintFamily makes all tokens of a family as it stands. id is a template with
// what only the caller knows; nil: no ID token.
func (p *Provider) mintFamily(ctx context.Context, ex *exchange, app *federation.Application, h family.Held, id *idToken) (tokens, error) {
	f := h.Family
	t := tokens{scope: ex.scope}
	err := p.impersonated(ctx, ex, app, f)
	if err != nil {
		return tokens{}, err
	}
	if len(f.Salt) > 0 {
		if t.refresh, err = family.MintToken(p.ring, f, h.Index); err != nil {
			return tokens{}, err
		}
	}
	in := intoBoth
	if id == nil || !slices.Contains(ex.scope, federation.ScopeOpenID) {
		id, in = nil, intoAccess
	}
	said, err := p.say(ctx, ex, app, f, in)
	if err != nil {
		return tokens{}, err
	}
	if t.access, err = p.signAccess(ctx, ex, app, f, &said); err != nil || id == nil {
		return t, err
	}
	if t.id, err = p.mintID(ctx, ex, app, f, id, t.access, &said); err != nil {
		return tokens{}, fmt.Errorf("ID token: %w", err)
	}
	return t, nil
}

// idClaims are what an ID token says.
func (p *Provider) idClaims(ex *exchange, app *federation.Application, f *family.Family, id *idToken, said *statement.Statement) (any, error) {
	now := p.db.Now().Unix()
	id.Issuer, id.Subject, id.Audience, id.Authorized = ex.tenant.Issuer, ex.subject, app.ClientID, app.ClientID
	id.Issued, id.Expires = now, now+ex.life(app)
	id.AuthTime, id.ACR, id.AMR, id.Session = f.AuthTime, f.ACR, f.AMR, f.SessionID
	id.Claims, id.Actor = said.IDToken, ex.actor
	return said.Over(id, claim.InIDToken)
}

func (p *Provider) mintID(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family, id *idToken, access string, said *statement.Statement) (string, error) {
	id.AccessHash = tokenHash(algOf(app), access)
	c, err := p.idClaims(ex, app, f, id, said)
	if err != nil {
		return "", err
	}
	token, err := p.sign(ctx, ex, app, typID, c)
	if err != nil {
		return "", err
	}
	return p.encryptTo(ctx, app, app.Tokens.IDToken, token, "", "JWT")
}

// tokenHash is at_hash, and c_hash: the left half of the hash that belongs to the ID token's
// algorithm (OpenID Connect Core, section 3.1.3.6); SHA-512 for Ed25519.
func tokenHash(alg keys.Alg, token string) string {
	if alg == keys.EdDSA {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
