package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those that an ID token may be signed with.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA}

// jwks fetches the public keys.
func (c *check) jwks() jose.JSONWebKeySet {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, dev.Issuer()+"/.well-known/jwks.json", nil)
	c.no(err)
	resp, err := http.DefaultClient.Do(req)
	c.no(err)
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	c.no(json.NewDecoder(resp.Body).Decode(&set))
	return set
}

// verify checks the signature of a token of ours and returns its header and claims.
func (c *check) verify(token string) (jose.Header, map[string]any) {
	c.t.Helper()
	parsed, err := jose.ParseSignedCompact(token, algorithms)
	c.no(err)
	head := parsed.Signatures[0].Header
	set := c.jwks()
	for i := 0; i < 40 && len(set.Key(head.KeyID)) == 0; i++ { // the first key of its algorithm reaches another node a moment later
		c.wait(50 * time.Millisecond)
		set = c.jwks()
	}
	keys := set.Key(head.KeyID)
	c.usual("the signature is by a key of the JWKS, named by kid", head.KeyID != "" && len(keys) == 1, head)
	payload, err := parsed.Verify(keys[0])
	c.no(err)
	claims := map[string]any{}
	c.no(json.Unmarshal(payload, &claims))
	return head, claims
}

// read checks a successful answer of the token endpoint, and its ID token.
func (c *check) read(a *ask, got answer) map[string]any {
	c.t.Helper()
	c.usual("the token endpoint answers 200", got.status == http.StatusOK, got)
	c.usual("token_type is bearer", strings.EqualFold(got.text("token_type"), "bearer") || strings.EqualFold(got.text("token_type"), "dpop"), got.body)
	c.usual("the answer is not to be stored", got.header.Get("Cache-Control") == "no-store", got.header)
	life, _ := got.body["expires_in"].(float64)
	c.usual("expires_in is positive", life > 0, got.body)
	c.usual("there is an ID token", got.text("id_token") != "", got.body)
	head, claims := c.verify(got.text("id_token"))
	now := float64(time.Now().Unix())
	aud, _ := claims["aud"].(string)
	if list, ok := claims["aud"].([]any); ok && len(list) == 1 {
		aud, _ = list[0].(string)
	}
	iat, _ := claims["iat"].(float64)
	exp, _ := claims["exp"].(float64)
	c.usual("iss, aud, iat and exp of the ID token are right", claims["iss"] == dev.Issuer() && aud == c.app.id && iat <= now+5 && iat > now-120 && exp > now, claims)
	c.usual("sub has 1 to 255 characters", len(text(claims, "sub")) > 0 && len(text(claims, "sub")) <= 255, claims)
	c.usual("azp, if there, is the application", claims["azp"] == nil || claims["azp"] == c.app.id, claims)
	if a != nil {
		c.usual("nonce comes back", text(claims, "nonce") == a.params.Get("nonce"), claims)
	}
	if hash := text(claims, "at_hash"); hash != "" && slices.Contains([]string{"ES256", "RS256", "PS256"}, head.Algorithm) {
		sum := sha256.Sum256([]byte(got.text("access_token")))
		c.usual("at_hash is that of the access token", hash == base64.RawURLEncoding.EncodeToString(sum[:16]), hash)
	}
	return claims
}

func text(claims map[string]any, name string) string { s, _ := claims[name].(string); return s }

func number(claims map[string]any, name string) float64 { n, _ := claims[name].(float64); return n }
