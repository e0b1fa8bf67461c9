package identity

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// The prefixes of IDs; a prefix names the kind of thing for ever.
const (
	PrefixTenant      = "ten"
	PrefixUser        = "usr"
	PrefixGroup       = "grp"
	PrefixSession     = "ses"
	PrefixEvent       = "evt"
	PrefixFlow        = "flw"
	PrefixApplication = "app"
	PrefixFamily      = "fam"
	PrefixToken       = "tok"
	PrefixPasskey     = "pky"
	PrefixLogout      = "lgo"
	PrefixTOTP        = "otp" // an authenticator app
	PrefixRecovery    = "rec" // a set of recovery codes
	PrefixDevice      = "dev" // a trusted device
	PrefixMail        = "mai"
	PrefixApprover    = "apb" // a browser in which sign-ins may be approved
	PrefixApproval    = "apv" // a sign-in that waits for that
	PrefixCertificate = "crt" // of a person
	PrefixAuthority   = "aut" // who certifies people
	PrefixLowering    = "low" // of the rule that two administrators agree
)

// crockford is Crockford's base 32 in lower case: no i, l, o, u, so an ID survives being read aloud.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

const idLength = 26 // characters that carry 128 bits

var errID = errors.New("not an ID")

// NewID returns prefix, an underscore and 26 characters of a UUIDv7 (RFC 9562 §5.7).
// IDs sort by creation, those of one process strictly, and cannot be guessed.
func NewID(prefix string) string {
	var u [16]byte
	rand.Read(u[:])
	t := tick()
	for i := range 6 {
		u[i] = byte(t >> (52 - 8*i))
	}
	u[6], u[7] = byte(t>>8)&0x0f|0x70, byte(t)
	u[8] = u[8]&0x3f | 0x80
	return FormatID(prefix, u)
}

var lastTick atomic.Uint64

// tick is the time since 1970 as 48 bits of milliseconds and 12 bits of their
// fraction (RFC 9562 §6.2, method 3), and always later than the tick before.
func tick() uint64 {
	ns := uint64(time.Now().UnixNano())
	now := ns/1e6<<12 | ns%1e6<<12/1e6
	for {
		last := lastTick.Load()
		next := max(now, last+1)
		if lastTick.CompareAndSwap(last, next) {
			return next
		}
	}
}

// FormatID is the inverse of ParseID.
func FormatID(prefix string, u [16]byte) string {
	var b strings.Builder
	b.Grow(len(prefix) + 1 + idLength)
	b.WriteString(prefix)
	b.WriteByte('_')
	var acc uint32
	bits := 2 // two zero bits in front: 130 = 26 * 5
	for _, c := range u {
		acc, bits = acc<<8|uint32(c), bits+8
		for bits >= 5 {
			bits -= 5
			b.WriteByte(crockford[acc>>bits&31])
		}
	}
	return b.String()
}

// ParseID takes an ID with this prefix back to its 16 bytes. It accepts only what
// FormatID writes: one ID, one spelling.
func ParseID(prefix, id string) (u [16]byte, err error) {
	rest, ok := strings.CutPrefix(id, prefix+"_")
	if !ok || len(rest) != idLength {
		return u, fmt.Errorf("%s %.40q: %w", prefix, id, errID)
	}
	var acc uint32
	bits, n := -2, 0
	for i := range idLength {
		v := strings.IndexByte(crockford, rest[i])
		if v < 0 || i == 0 && v > 7 {
			return u, fmt.Errorf("%s %.40q: %w", prefix, id, errID)
		}
		acc, bits = acc<<5|uint32(v), bits+5
		if bits >= 8 {
			bits -= 8
			u[n] = byte(acc >> bits)
			n++
		}
	}
	return u, nil
}

// TimeOf returns when an ID with this prefix was made, by the clock of the node that made it.
func TimeOf(prefix, id string) (time.Time, error) {
	u, err := ParseID(prefix, id)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(u[:8]) >> 16)), nil
}

// ValidID reports whether id is an ID with this prefix.
func ValidID(prefix, id string) bool {
	_, err := ParseID(prefix, id)
	return err == nil
}
