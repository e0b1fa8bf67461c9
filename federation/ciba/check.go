package ciba

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	maxMessage = 100 // characters: what a small screen shows, and a person compares
	minToken   = 22  // characters: 128 bits in base64url
	maxToken   = 1024

	tokenPurpose = "ciba notification token"
)

// ValidMessage reports whether a binding_message can be shown as it is.
func ValidMessage(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxMessage && identity.Printable(s, 4*maxMessage) == s
}

// ParseExpiry reads a requested_expiry in seconds; empty is 0, the default.
func ParseExpiry(text string) (life time.Duration, ok bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, MaxLifetime), true
}

// ValidToken reports whether a client_notification_token can be sent as a bearer token
// (RFC 6750, section 2.1) and is long enough not to be guessed (CIBA Core, section 7.1).
func ValidToken(token string) bool {
	if len(token) < minToken || len(token) > maxToken {
		return false
	}
	for _, c := range []byte(strings.TrimRight(token, "=")) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return true
}

// SealToken returns a token as it is stored, for one request.
func SealToken(ring *seal.Ring, tenant string, id family.ID, token string) ([]byte, error) {
	return ring.Seal(ring.Passing(tokenPurpose), []byte(token), tokenContext(tenant, id))
}

func openToken(ring *seal.Ring, r *Request) (identity.Secret, error) {
	plain, err := ring.Open(ring.Passing(tokenPurpose), r.Token, tokenContext(r.Tenant, r.Family))
	return identity.Secret(plain), err
}

func tokenContext(tenant string, id family.ID) []byte { return append([]byte(tenant+"\x00"), id[:]...) }
