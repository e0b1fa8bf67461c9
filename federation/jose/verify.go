package jose

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a token, in bytes.
const (
	MaxToken  = 16 << 10
	maxHeader = 8 << 10 // encoded; a certificate chain in x5c fits
)

// A Header is what the protected header of a token says, and nothing that is proven.
type Header struct {
	Alg, Type, KeyID, ContentType string
	// Key is the public key that the token brings along (jwk); nil: none.
	Key *Key
}

// A Rule says which tokens are taken. Its zero value takes none.
type Rule struct {
	// Algs are the algorithms that are taken.
	Algs []string
	// Types are the values of typ that are taken, in lower case and without "application/";
	// an empty one stands for its absence.
	Types []string
	// Keys are whose signature counts.
	Keys *Set
	// Secrets are those of an HMAC. Without them no symmetric algorithm is taken, whatever Algs says.
	Secrets [][]byte
	// Embedded has the key count that the token brings along, instead of Keys: what is
	// proven is then only that its sender has that key.
	Embedded bool
	// Nested takes a token whose payload is itself a token (RFC 7519, section 5.2).
	Nested bool
	// Max is how many bytes it may have; 0 means MaxToken.
	Max int
}

// A Token is one whose signature holds.
type Token struct {
	Header
	Payload []byte
	By      *Key // that it was signed with; nil: a secret
}

// Peek reads a token in compact form without verifying anything, for whoever must know
// who it claims to be from before it can know the keys. Errors are ErrToken.
func Peek(text string) (Header, []byte, error) {
	h, body, err := split(text, MaxToken, true)
	if err != nil {
		return Header{}, nil, err
	}
	payload, err := decode(body)
	if err != nil {
		return Header{}, nil, tokenFault("the payload of the token is not base64url")
	}
	return h, payload, nil
}

// Verify checks a JWS in compact form (RFC 7515, section 5.2) and returns it. Everything
// that the rule does not take is ErrToken.
func (r Rule) Verify(text string) (*Token, error) {
	most := r.Max
	if most == 0 {
		most = MaxToken
	}
	h, _, err := split(text, most, r.Embedded)
	if err != nil {
		return nil, err
	}
	if err := r.admits(h); err != nil {
		return nil, err
	}
	// Of the algorithms only the token's own, which the rule has: go-jose compares it again.
	jws, err := jose.ParseSignedCompact(text, signatureAlgs([]string{h.Alg}))
	if err != nil {
		return nil, tokenFault("the token is not a JWS in compact form")
	}
	t, err := r.prove(jws, h)
	if err != nil {
		return nil, err
	}
	if nested := h.ContentType != "" && kind(h.ContentType) != "json" || looksNested(t.Payload); nested && !r.Nested {
		return nil, tokenFault("the token holds another token, which is not taken here")
	}
	return t, nil
}

// admits checks what the header says against the rule.
func (r Rule) admits(h Header) error {
	known := slices.Contains(Asymmetric, h.Alg) || len(r.Secrets) > 0 && slices.Contains(Symmetric, h.Alg)
	if !known || !slices.Contains(r.Algs, h.Alg) {
		return tokenFault("the algorithm of the token is not one of those that are allowed here")
	}
	if !slices.Contains(r.Types, kind(h.Type)) {
		return tokenFault("the typ of the token is not the one that is expected here")
	}
	if r.Embedded && h.Key == nil {
		return tokenFault("the header of the token has no jwk")
	}
	return nil
}

// prove finds the key, or the secret, that the signature is of.
func (r Rule) prove(jws *jose.JSONWebSignature, h Header) (*Token, error) {
	if slices.Contains(Symmetric, h.Alg) {
		for _, s := range r.Secrets {
			if len(s) < secretBytes[h.Alg] {
				continue
			}
			if payload, err := jws.Verify(s); err == nil {
				return &Token{Header: h, Payload: payload}, nil
			}
		}
		return nil, tokenFault("the signature of the token does not match the secret, or the secret is too short for the algorithm")
	}
	keys := r.Keys
	if r.Embedded {
		keys = NewSet(*h.Key)
	}
	kid := h.KeyID
	if r.Embedded {
		kid = "" // the key is at hand, however it is called
	}
	fit := keys.Verifying(kid, h.Alg)
	if len(fit) == 0 {
		return nil, ErrNoKey
	}
	for i := range fit {
		if payload, err := jws.Verify(fit[i].Public); err == nil {
			return &Token{Header: h, Payload: payload, By: &fit[i]}, nil
		}
	}
	return nil, tokenFault("the signature of the token does not match")
}

// ErrNoKey is the ErrToken that no key of the set has the token's kid and fits its
// algorithm: the set may be older than the token.
const ErrNoKey = tokenFault("no key of the set has the kid of the token and fits its algorithm")

// split takes a token apart and reads its header.
func split(text string, most int, embedded bool) (h Header, body string, err error) {
	if len(text) > most {
		return h, "", tokenFault("the token is too long")
	}
	head, rest, ok1 := strings.Cut(text, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(sig, ".") {
		return h, "", tokenFault("the token does not have the three parts of a JWS; encrypted tokens are not taken here")
	}
	if b, err := decode(sig); err != nil || len(b) == 0 {
		return h, "", tokenFault("the token has no signature, or one that is not base64url")
	}
	if len(head) > maxHeader {
		return h, "", tokenFault("the header of the token is too long")
	}
	raw, err := decode(head)
	if err != nil {
		return h, "", tokenFault("the header of the token is not base64url")
	}
	h, err = parseHeader(raw, embedded)
	return h, body, err
}

// parseHeader reads the members that matter and refuses those that would have a verifier
// look for keys elsewhere or change how it verifies.
func parseHeader(raw []byte, embedded bool) (h Header, err error) {
	o, err := object(raw)
	if err != nil {
		return h, tokenFault("the header of the token is not a JSON object with each member once")
	}
	for _, name := range []string{"crit", "b64", "zip", "jku", "x5u"} {
		if _, there := o[name]; there {
			return h, tokenFault("the header of the token has " + name + ", which is not taken")
		}
	}
	for name, into := range map[string]*string{"alg": &h.Alg, "typ": &h.Type, "kid": &h.KeyID, "cty": &h.ContentType} {
		s, ok := text(o, name)
		if !ok || len(s) > maxKeyID {
			return h, tokenFault("the " + name + " of the token is not a short string")
		}
		*into = s
	}
	jwk, there := o["jwk"]
	switch {
	case there && !embedded:
		return h, tokenFault("the header of the token has jwk, which is not taken")
	case there:
		if h.Key, err = ParseKey(jwk); err != nil {
			return h, tokenFault("the jwk of the token: " + err.Error())
		}
	}
	return h, nil
}

// kind is a media type as it is compared (RFC 7515, section 4.1.9).
func kind(s string) string {
	return strings.TrimPrefix(strings.ToLower(s), "application/")
}

// looksNested reports whether a payload is no JSON object but something in parts.
func looksNested(payload []byte) bool {
	return !json.Valid(payload) && strings.Count(string(payload), ".") >= 2
}
