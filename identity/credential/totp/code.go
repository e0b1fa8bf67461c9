package totp

import (
	"crypto/hmac"
	"crypto/sha1" // what every authenticator app computes; HMAC does not need more of it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"time"
)

// An Algorithm is the hash function under the HMAC, as otpauth URIs spell it.
type Algorithm string

// The algorithms of RFC 6238 §1.2. Apps that ignore the parameter compute SHA-1.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

func (a Algorithm) hash() func() hash.Hash {
	switch a {
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	default:
		return sha1.New
	}
}

// Parameters say how codes are computed. The zero value is what all apps support:
// SHA-1, six digits, 30 seconds.
type Parameters struct {
	Algorithm Algorithm `cbor:"1,keyasint,omitempty"`
	Digits    int       `cbor:"2,keyasint,omitempty"` // 6 or 8
	Seconds   int       `cbor:"3,keyasint,omitempty"` // 30 or 60
}

// full returns p with what is not said filled in.
func (p Parameters) full() Parameters {
	if p.Algorithm == "" {
		p.Algorithm = SHA1
	}
	if p.Digits == 0 {
		p.Digits = 6
	}
	if p.Seconds == 0 {
		p.Seconds = 30
	}
	return p
}

func (p Parameters) valid() bool {
	p = p.full()
	return (p.Algorithm == SHA1 || p.Algorithm == SHA256 || p.Algorithm == SHA512) &&
		(p.Digits == 6 || p.Digits == 8) && (p.Seconds == 30 || p.Seconds == 60)
}

// step is the number of the time step of t; RFC 6238 §4.2, T0 = 0.
func (p Parameters) step(t time.Time) int64 { return t.Unix() / int64(p.full().Seconds) }

// Code is what an app with this secret shows at t: for tests of whoever asks for codes.
func (p Parameters) Code(secret []byte, t time.Time) string { return p.code(secret, p.step(t)) }

// code is the code of a time step; RFC 4226 §5.3.
func (p Parameters) code(secret []byte, step int64) string {
	p = p.full()
	h := hmac.New(p.Algorithm.hash(), secret)
	_ = binary.Write(h, binary.BigEndian, step) // a hash takes everything
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	mod := uint32(1_000_000)
	if p.Digits == 8 {
		mod = 100_000_000
	}
	return fmt.Sprintf("%0*d", p.Digits, n%mod)
}

// window is how many steps a clock may be off, either way.
const window = 1

// match returns the time step around now that a code fits, the latest if there are
// several; ok says that there is one. Its work and time depend on nothing secret.
func (p Parameters) match(secret []byte, code string, now time.Time) (step int64, ok bool) {
	latest, found := 0, 0
	for s := p.step(now) - window; s <= p.step(now)+window; s++ {
		eq := subtle.ConstantTimeCompare([]byte(p.code(secret, s)), []byte(code))
		latest = subtle.ConstantTimeSelect(eq, int(s), latest)
		found |= eq
	}
	return int64(latest), found == 1
}

// typed returns a code as it was meant: people and apps put spaces into it.
func typed(code string) string {
	if len(code) > maxTyped {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' || r == '\u2009' || r == '\u202f' || r == '\t' {
			return -1
		}
		return r
	}, code)
}

const maxTyped = 64 // bytes
