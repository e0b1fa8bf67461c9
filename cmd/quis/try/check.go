package try

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation/jose"
)

// skew is how far clocks may differ.
const skew = time.Minute

// A check is one thing that an application must look at, and what came of it.
type check struct {
	Name   string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// checks are all of them, in order.
type checks []check

func (c *checks) add(name string, ok bool, detail string, args ...any) bool {
	*c = append(*c, check{name, ok, fmt.Sprintf(detail, args...)})
	return ok
}

// failed reports whether one did not hold.
func (c checks) failed() bool { return slices.ContainsFunc(c, func(one check) bool { return !one.OK }) }

// A token is one that was taken apart.
type token struct {
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`

	head  jose.Header
	known *jose.Claims
	text  string
}

// open takes a JWT apart without believing it.
func open(text string) (*token, error) {
	h, payload, err := jose.Peek(text)
	if err != nil {
		return nil, err
	}
	t := &token{head: h, text: text}
	raw, err := base64.RawURLEncoding.DecodeString(text[:strings.IndexByte(text, '.')])
	if err == nil {
		err = json.Unmarshal(raw, &t.Header)
	}
	if err != nil {
		return nil, fmt.Errorf("the header of the token is no JSON: %w", err)
	}
	if t.known, err = jose.ParseClaims(payload); err != nil {
		return nil, err
	}
	return t, json.Unmarshal(payload, &t.Claims)
}

// signed checks the signature by the issuer's keys.
func (p *provider) signed(c *checks, what string, t *token, typ string) {
	_, err := jose.Rule{Algs: jose.Asymmetric, Types: []string{typ}, Keys: p.keys}.Verify(t.text)
	if err != nil {
		c.add(what+": signature", false, "%v", err)
		return
	}
	c.add(what+": signature", true, "%s by key %s, typ %s", t.head.Alg, t.head.KeyID, t.head.Type)
}

// common checks what every token says of itself.
func (p *provider) common(c *checks, what string, t *token, audience string) {
	k := t.known
	c.add(what+": iss", k.Issuer == p.Issuer, "%s", k.Issuer)
	if audience != "" {
		c.add(what+": aud", k.For(audience), "%s", strings.Join(k.Audience, ", "))
	} else {
		c.add(what+": aud", len(k.Audience) > 0, "%s", strings.Join(k.Audience, ", "))
	}
	now := time.Now()
	c.add(what+": exp", !k.Expires.IsZero() && now.Before(k.Expires.Add(skew)), "%s, in %s", k.Expires.Local().Format(time.DateTime), time.Until(k.Expires).Round(time.Second))
	c.add(what+": iat", !k.Issued.IsZero() && !k.Issued.After(now.Add(skew)), "%s", k.Issued.Local().Format(time.DateTime))
	c.add(what+": sub", k.Subject != "", "%s", k.Subject)
}

// idToken checks an ID token as OpenID Connect Core, section 3.1.3.7, says.
func (p *provider) idToken(c *checks, t *token, clientID, nonce, access string) {
	p.signed(c, "ID token", t, "jwt")
	p.common(c, "ID token", t, clientID)
	if azp := t.known.Text("azp"); azp != "" || len(t.known.Audience) > 1 {
		c.add("ID token: azp", azp == clientID, "%s", azp)
	}
	if nonce != "" {
		c.add("ID token: nonce", t.known.Text("nonce") == nonce, "the one that was sent")
	}
	if hash := t.known.Text("at_hash"); hash != "" {
		c.add("ID token: at_hash", hash == halfHash(t.head.Alg, access), "belongs to the access token")
	} else {
		c.add("ID token: at_hash", true, "not there, which is allowed in the code flow")
	}
	if sid := t.known.Text("sid"); sid != "" {
		c.add("ID token: sid", true, "%s: by it a logout token will name the session", sid)
	}
}

// accessToken checks an access token as RFC 9068, section 4, says.
func (p *provider) accessToken(c *checks, t *token, clientID string) {
	p.signed(c, "access token", t, "at+jwt")
	p.common(c, "access token", t, "")
	c.add("access token: client_id", t.known.Text("client_id") == clientID, "%s", t.known.Text("client_id"))
}

// halfHash is at_hash (OpenID Connect Core, section 3.1.3.6).
func halfHash(alg, text string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(text))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
