package foreign

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"slices"
	"strings"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// Bounds of sha-crypt. Its time grows with rounds and with the length of the password,
// which whoever signs in chooses.
const (
	maxRounds        = 1_000_000
	defaultRounds    = 5000
	minRounds        = 1000
	maxCryptPassword = 128 // bytes; longer ones match nothing
	maxCryptSalt     = 16
)

// A shaCrypt is one of the two functions of crypt(3) (U. Drepper, "Unix crypt using
// SHA-256 and SHA-512", 2008).
type shaCrypt struct {
	name  string
	make  func() hash.Hash
	size  int      // bytes of the digest
	order [][3]int // bytes of the digest, as they are taken three at a time; -1: none
}

var (
	sha256crypt = shaCrypt{"sha256-crypt", sha256.New, sha256.Size, cryptOrder(10, 21, [3]int{-1, 31, 30})}
	sha512crypt = shaCrypt{"sha512-crypt", sha512.New, sha512.Size, cryptOrder(21, 22, [3]int{-1, -1, 63})}
)

// cryptOrder is the order of Drepper's step 22: a byte of each third of the digest, of which
// each group begins with another; last is what is left over.
func cryptOrder(third, step int, last [3]int) [][3]int {
	at := [3]int{0, third, 2 * third}
	var order [][3]int
	for range third {
		order = append(order, at)
		for i := range at {
			at[i] = (at[i] + step) % (3 * third)
		}
	}
	return append(order, last)
}

// parseCrypt reads [rounds=…$]salt$digest.
func parseCrypt(c shaCrypt, s string) (*Hash, error) {
	rounds := defaultRounds
	if rest, ok := strings.CutPrefix(s, "rounds="); ok {
		digits, after, _ := strings.Cut(rest, "$")
		n, err := cost(digits)
		switch {
		case err != nil:
			return nil, err
		case n < minRounds:
			return nil, ErrFormat
		case n > maxRounds:
			return nil, ErrCost
		}
		rounds, s = n, after
	}
	salt, want, _ := strings.Cut(s, "$")
	if salt == "" || len(salt) > maxCryptSalt || len(want) != (c.size*8+5)/6 || strings.Trim(want, cryptAlphabet) != "" {
		return nil, ErrFormat
	}
	return &Hash{Algorithm: c.name, longest: maxCryptPassword, check: func(_ *argon2.Memory, password []byte) bool {
		got := c.encode(c.digest(password, []byte(salt), rounds))
		return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
	}}, nil
}

// digest follows Drepper's steps 1 to 21.
func (c shaCrypt) digest(password, salt []byte, rounds int) []byte {
	sum := func(parts ...[]byte) []byte {
		h := c.make()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	// as repeats digest until it is as long as n.
	as := func(digest []byte, n int) []byte { return slices.Repeat(digest, n/len(digest)+1)[:n] }

	b := sum(password, salt, password)
	parts := [][]byte{password, salt, as(b, len(password))}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			parts = append(parts, b)
		} else {
			parts = append(parts, password)
		}
	}
	a := sum(parts...)
	p := as(sum(slices.Repeat([][]byte{password}, len(password))...), len(password))
	s := as(sum(slices.Repeat([][]byte{salt}, 16+int(a[0]))...), len(salt))
	h := c.make()
	for i := range rounds {
		h.Reset()
		first, last := a, p
		if i%2 != 0 {
			first, last = p, a
		}
		h.Write(first)
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		h.Write(last)
		a = h.Sum(a[:0])
		if i%yielding == yielding-1 {
			argon2.Yield()
		}
	}
	return a
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// encode is step 22: base 64 of its own, least significant bits first.
func (c shaCrypt) encode(digest []byte) string {
	var out []byte
	for _, at := range c.order {
		v, n := 0, 0
		for _, i := range at {
			v <<= 8
			if i >= 0 {
				v |= int(digest[i])
				n++
			}
		}
		for range (n*8 + 5) / 6 {
			out = append(out, cryptAlphabet[v&63])
			v >>= 6
		}
	}
	return string(out)
}
