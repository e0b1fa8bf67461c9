package form

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
)

// tokenPrefix begins the text of every join token, so that people and scanners for
// secrets see what it is.
const tokenPrefix = "quis-join-"

const (
	tokenVersion = 1
	secretSize   = 20 // bytes
	checkSize    = 6
	tokenSize    = 2 + 15 + 32 + secretSize + checkSize // a multiple of 5: no spare bits in base32
	tokenText    = tokenSize / 5 * 8                    // characters behind the prefix
)

const withRootKey = 1 // a flag in the token: the cluster hands the root key over

var tokenEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// A Token is what the text of a join token says. It prints as its ID only.
type Token struct {
	ClusterID string
	Pin       [32]byte // SHA-256 of the public key (SPKI) of the cluster's authority
	RootKey   bool     // whoever joins by it is given the root key
	secret    [secretSize]byte
}

// newToken makes a token of a cluster, whose authority it pins.
func newToken(clusterID string, authority *x509.Certificate, rootKey bool) (Token, error) {
	t := Token{ClusterID: clusterID, Pin: Pin(authority), RootKey: rootKey}
	if raw, err := tokenEncoding.DecodeString(strings.ToUpper(clusterID)); err != nil || len(raw) != 15 {
		return t, fmt.Errorf("make join token: cluster ID %q is not one that a token can name", clusterID)
	}
	rand.Read(t.secret[:])
	return t, nil
}

// Pin returns what a token says of an authority: the SHA-256 of its public key (SPKI).
func Pin(authority *x509.Certificate) [32]byte {
	return sha256.Sum256(authority.RawSubjectPublicKeyInfo)
}

// Text is the token as it is given to a person: the secret itself.
func (t Token) Text() string {
	flags := byte(0)
	if t.RootKey {
		flags = withRootKey
	}
	cluster, err := tokenEncoding.DecodeString(strings.ToUpper(t.ClusterID))
	if err != nil {
		panic(err) // both ways to make a Token have seen to that
	}
	b := append([]byte{tokenVersion, flags}, cluster...)
	b = append(b, t.Pin[:]...)
	b = append(b, t.secret[:]...)
	check := tokenCheck(b)
	return tokenPrefix + strings.ToLower(tokenEncoding.EncodeToString(append(b, check[:]...)))
}

func tokenCheck(b []byte) (c [checkSize]byte) {
	sum := sha256.Sum256(append([]byte("quis join token check:"), b...))
	copy(c[:], sum[:])
	return c
}

// ParseToken reads the text of a join token. White space in it and the case of letters do
// not matter. Its errors say what is wrong and never repeat the text.
func ParseToken(text string) (Token, error) {
	var t Token
	if len(text) > 4<<10 {
		return t, fmt.Errorf("join token: %d characters are no token, which has %d", len(text), len(tokenPrefix)+tokenText)
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
	body, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case text == "":
		return t, errors.New("join token: it is empty")
	case !ok:
		return t, fmt.Errorf("join token: it must begin with %s: make one on a node of the cluster with `quis cluster token`", tokenPrefix)
	case len(body) < tokenText:
		return t, fmt.Errorf("join token: %d of %d characters: it was cut short when it was copied: copy all of it", len(text), len(tokenPrefix)+tokenText)
	case len(body) > tokenText:
		return t, fmt.Errorf("join token: %d characters instead of %d: something else was copied along with it", len(text), len(tokenPrefix)+tokenText)
	}
	b, err := tokenEncoding.DecodeString(strings.ToUpper(body))
	if err != nil || len(b) != tokenSize {
		return t, errors.New("join token: it has characters that no token has: copy it again")
	}
	b, check := b[:tokenSize-checkSize], b[tokenSize-checkSize:]
	if want := tokenCheck(b); subtle.ConstantTimeCompare(want[:], check) != 1 {
		return t, errors.New("join token: a character is wrong (the checksum does not fit): copy it again")
	}
	if b[0] != tokenVersion || b[1]&^withRootKey != 0 {
		return t, errors.New("join token: it was made by a newer release: install that release here")
	}
	t.RootKey = b[1] == withRootKey
	t.ClusterID = strings.ToLower(tokenEncoding.EncodeToString(b[2:17]))
	copy(t.Pin[:], b[17:49])
	copy(t.secret[:], b[49:])
	return t, nil
}

// ID names the token in public. Nothing follows from it about the secret.
func (t Token) ID() string {
	sum := t.derive("id")
	return strings.ToLower(tokenEncoding.EncodeToString(sum[:10]))
}

// verifier is what the store keeps instead of the secret. Who knows it can prove to a
// joining node that the token is known, and cannot join.
func (t Token) verifier() [32]byte { return t.derive("verifier") }

func (t Token) derive(what string) [32]byte {
	return sha256.Sum256(append([]byte("quis join token "+what+":"), t.secret[:]...))
}

// String redacts the token.
func (t Token) String() string { return "join token " + t.ID() }

// GoString redacts the token.
func (t Token) GoString() string { return t.String() }

// LogValue redacts the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText redacts the token, so that no encoder writes it by accident; see Text.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
