package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/keys/seal"
)

// Limits of a proof.
const (
	maxProof = 6 << 10          // bytes; one with an RSA key of 8192 bits fits
	past     = 60 * time.Second // how old iat may be
	ahead    = 15 * time.Second // how far a client's clock may be ahead of ours
	maxID    = 255              // bytes of jti
)

// ErrProof matches every error about a proof that does not hold: invalid_dpop_proof.
var ErrProof = errors.New("DPoP proof is not valid")

// ErrNonce matches the error of a proof that holds but for a nonce of ours, which it
// lacks or has of too long ago: use_dpop_nonce.
var ErrNonce = errors.New("DPoP proof needs a nonce")

// A fault says in plain ASCII what is wrong with a proof.
type fault struct {
	reason string
	kind   error
}

func (f fault) Error() string       { return f.reason }
func (f fault) Is(other error) bool { return other == f.kind }

func bad(reason string) error { return fault{reason, ErrProof} }

// A Verifier verifies the proofs that one node is sent. It is safe for concurrent use.
type Verifier struct {
	ring *seal.Ring
	now  func() time.Time
	seen *memory
}

// New returns a verifier whose nonces are MACs under ring and whose clock is now.
func New(ring *seal.Ring, now func() time.Time) *Verifier {
	return &Verifier{ring: ring, now: now, seen: newMemory(maxSeen, past+ahead)}
}

// Wanted is what a proof must be of.
type Wanted struct {
	Tenant string
	Method string // of the request
	// URL is the endpoint's as configured: htu must be the same, whatever the case of
	// scheme and host, default ports, and a query or fragment.
	URL string
	// Token is the access token that is presented with the proof, which it must be made for (ath).
	Token string
	// Key is the thumbprint that the key must have; empty: any key.
	Key string
	// Nonce demands one of ours. A nonce that a proof has must be good in any case.
	Nonce bool
}

// A Proof is one that holds.
type Proof struct {
	Key string // RFC 7638 thumbprint of the key: jkt
	// Nonce is for the DPoP-Nonce header of the answer: the one that the proof used ends soon. Often empty.
	Nonce string
}

// Verify checks the values of a request's DPoP header (RFC 9449, section 4.3). It
// reports ErrProof or ErrNonce; errors of the ring are neither.
func (v *Verifier) Verify(headers []string, w Wanted) (*Proof, error) {
	if len(headers) != 1 {
		return nil, bad("There must be exactly one DPoP header.")
	}
	rule := jose.Rule{Algs: jose.Asymmetric, Types: []string{"dpop+jwt"}, Embedded: true, Max: maxProof}
	token, err := rule.Verify(headers[0])
	if err != nil {
		return nil, bad("The DPoP proof cannot be accepted: " + err.Error() + ".")
	}
	claims, err := jose.ParseClaims(token.Payload)
	if err != nil {
		return nil, bad("The DPoP proof cannot be accepted: " + err.Error() + ".")
	}
	if err := v.check(claims, w); err != nil {
		return nil, err
	}
	p := &Proof{}
	if p.Key, err = token.By.Thumbprint(); err != nil {
		return nil, bad("The DPoP proof cannot be accepted: " + err.Error() + ".")
	}
	if w.Key != "" && subtle.ConstantTimeCompare([]byte(p.Key), []byte(w.Key)) != 1 {
		return nil, bad("The DPoP proof is of another key than the one that was bound.")
	}
	if p.Nonce, err = v.checkNonce(claims, w); err != nil {
		return nil, err
	}
	if !v.seen.first(p.Key, claims.ID, v.now()) {
		return nil, bad("The DPoP proof was used before. Make a new one for every request.")
	}
	return p, nil
}

func (v *Verifier) check(c *jose.Claims, w Wanted) error {
	now := v.now()
	switch {
	case c.ID == "" || len(c.ID) > maxID:
		return bad("The jti of the DPoP proof must have 1 to 255 bytes.")
	case c.Text("htm") != w.Method:
		return bad("The htm of the DPoP proof is not the method of the request.")
	case !sameURL(c.Text("htu"), w.URL):
		return bad("The htu of the DPoP proof is not the URL of this endpoint as its metadata names it.")
	case c.Issued.IsZero():
		return bad("The iat of the DPoP proof is missing.")
	case c.Issued.Before(now.Add(-past)):
		return bad("The iat of the DPoP proof is too long ago. Make a new one for every request, and check the clock.")
	case c.Issued.After(now.Add(ahead)):
		return bad("The iat of the DPoP proof is in the future. Check the clock.")
	}
	if w.Token == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(w.Token))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(c.Text("ath")), []byte(want)) != 1 {
		return bad("The ath of the DPoP proof is not the hash of the access token.")
	}
	return nil
}

// checkNonce returns a nonce to hand out if the proof's own ends soon.
func (v *Verifier) checkNonce(c *jose.Claims, w Wanted) (string, error) {
	raw, there := c.All["nonce"]
	if !there && !w.Nonce {
		return "", nil
	}
	var nonce string
	if there && json.Unmarshal(raw, &nonce) != nil {
		return "", bad("The nonce of the DPoP proof is not a string.")
	}
	ok, current, err := v.goodNonce(w.Tenant, nonce)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", fault{"The DPoP proof must have the nonce of the DPoP-Nonce header.", ErrNonce}
	case current:
		return "", nil
	}
	return v.Nonce(w.Tenant)
}

// sameURL compares htu with the endpoint's URL (RFC 9449, section 4.3, point 9).
func sameURL(htu, endpoint string) bool {
	if len(htu) > 2048 {
		return false
	}
	a, err1 := url.Parse(htu)
	b, err2 := url.Parse(endpoint)
	if err1 != nil || err2 != nil || a.User != nil || a.Host == "" {
		return false
	}
	return strings.EqualFold(a.Scheme, b.Scheme) && authority(a) == authority(b) && a.EscapedPath() == b.EscapedPath()
}

func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
