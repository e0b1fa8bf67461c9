package foreign

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// Bounds of costs; the figures are in identity/credential/DESIGN.md.
const (
	maxBcrypt     = 14        // logarithm of rounds
	maxIterations = 2_500_000 // of PBKDF2, times blocks of the key
	maxScrypt     = 1 << 20   // N·r, in 128 bytes: 128 MiB
	maxScryptWork = 1 << 21   // N·r·p

	// After so many rounds of sha-crypt or PBKDF2, about half a millisecond, who waits for the core gets it.
	yielding = 512
)

// A digest is a hash function by the name it has in hashes.
type digest struct {
	name string
	size int // bytes
	make func() hash.Hash
}

var digests = []digest{
	{"sha1", sha1.Size, sha1.New},
	{"sha256", sha256.Size, sha256.New},
	{"sha384", sha512.Size384, sha512.New384},
	{"sha512", sha512.Size, sha512.New},
}

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// parseBcrypt reads a whole hash. $2x$ is what a faulty program made and is refused.
// Django hashes the hexadecimal SHA-256 of a password, to get past bcrypt's 72 bytes.
func parseBcrypt(s string, ofDigest bool) (*Hash, error) {
	part := bcryptForm.FindStringSubmatch(s)
	if part == nil {
		return nil, ErrFormat
	}
	n, err := cost(strings.TrimPrefix(part[1], "0"))
	switch {
	case err != nil || n < bcrypt.MinCost:
		return nil, ErrFormat
	case n > maxBcrypt:
		return nil, ErrCost
	}
	return &Hash{Algorithm: "bcrypt", check: func(_ *argon2.Memory, password []byte) bool {
		if ofDigest {
			sum := sha256.Sum256(password)
			password = []byte(hex.EncodeToString(sum[:]))
		}
		return bcrypt.CompareHashAndPassword([]byte(s), password) == nil // which compares in constant time
	}}, nil
}

// parsePBKDF2 reads iterations$salt$key.
func parsePBKDF2(d digest, s string) (*Hash, error) {
	part := strings.Split(s, "$")
	if len(part) != 3 {
		return nil, ErrFormat
	}
	salt, err := fromB64(part[1])
	if err != nil {
		return nil, ErrFormat
	}
	return withIterations(d, part[0], salt, part[2], fromB64)
}

// parsePBKDF2Text reads iterations$salt$key with the salt as it stands.
func parsePBKDF2Text(d digest, s string, decode func(string) ([]byte, error)) (*Hash, error) {
	part := strings.Split(s, "$")
	if len(part) != 3 {
		return nil, ErrFormat
	}
	return withIterations(d, part[0], []byte(part[1]), part[2], decode)
}

func withIterations(d digest, digits string, salt []byte, text string, decode func(string) ([]byte, error)) (*Hash, error) {
	n, err := cost(digits)
	if err != nil {
		return nil, err
	}
	key, err := decode(text)
	if err != nil {
		return nil, ErrFormat
	}
	return newPBKDF2(d, n, salt, key)
}

func newPBKDF2(d digest, iterations int, salt, key []byte) (*Hash, error) {
	blocks := (len(key) + d.size - 1) / d.size
	switch {
	case !sized(salt, key):
		return nil, ErrFormat
	case iterations > maxIterations/blocks:
		return nil, ErrCost
	}
	return &Hash{Algorithm: "pbkdf2-" + d.name, check: equals(key, func(_ *argon2.Memory, password []byte) []byte {
		return pbkdf2(d, password, salt, iterations, len(key))
	})}, nil
}

// pbkdf2 is RFC 8018, section 5.2, with HMAC: crypto/pbkdf2, which does the same, keeps the core to the end.
func pbkdf2(d digest, password, salt []byte, iterations, size int) []byte {
	prf := hmac.New(d.make, password)
	var key, u []byte
	for block := uint32(1); len(key) < size; block++ {
		prf.Reset()
		prf.Write(salt)
		prf.Write(binary.BigEndian.AppendUint32(nil, block))
		u = prf.Sum(u[:0])
		key = append(key, u...)
		t := key[len(key)-len(u):]
		for i := 1; i < iterations; i++ {
			prf.Reset()
			prf.Write(u)
			u = prf.Sum(u[:0])
			subtle.XORBytes(t, t, u)
			if i%yielding == 0 {
				argon2.Yield()
			}
		}
	}
	return key[:size]
}

// parseScrypt reads ln=…,r=…,p=…$salt$key.
func parseScrypt(s string) (*Hash, error) {
	part := strings.Split(s, "$")
	if len(part) != 3 {
		return nil, ErrFormat
	}
	costs, err := named(part[0], "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	if costs["ln"] > 30 {
		return nil, ErrCost
	}
	salt, err1 := fromB64(part[1])
	key, err2 := fromB64(part[2])
	if err1 != nil || err2 != nil {
		return nil, ErrFormat
	}
	return newScrypt(1<<costs["ln"], costs["r"], costs["p"], salt, key)
}

// parseScryptDjango reads N$salt$r$p$key with the salt as it stands.
func parseScryptDjango(s string) (*Hash, error) {
	part := strings.Split(s, "$")
	if len(part) != 5 {
		return nil, ErrFormat
	}
	return scryptOf([3]string{part[0], part[2], part[3]}, part[1], part[4], fromB64)
}

// parseScryptText reads N:r:p$salt$key with the salt as it stands.
func parseScryptText(s string) (*Hash, error) {
	part := strings.Split(s, "$")
	costs := strings.Split(part[0], ":")
	if len(part) != 3 || len(costs) != 3 {
		return nil, ErrFormat
	}
	return scryptOf([3]string(costs), part[1], part[2], fromHex)
}

func scryptOf(costs [3]string, salt, text string, decode func(string) ([]byte, error)) (*Hash, error) {
	var n [3]int
	for i, digits := range costs {
		var err error
		if n[i], err = cost(digits); err != nil {
			return nil, err
		}
	}
	key, err := decode(text)
	if err != nil {
		return nil, ErrFormat
	}
	return newScrypt(n[0], n[1], n[2], []byte(salt), key)
}

func newScrypt(n, r, p int, salt, key []byte) (*Hash, error) {
	switch {
	case !sized(salt, key) || n < 2 || n&(n-1) != 0:
		return nil, ErrFormat
	case r > maxScrypt || p > maxScryptWork || n > maxScrypt/r || n*r > maxScryptWork/p:
		return nil, ErrCost
	}
	return &Hash{Algorithm: "scrypt", check: equals(key, func(_ *argon2.Memory, password []byte) []byte {
		got, err := scrypt.Key(password, salt, n, r, p, len(key))
		if err != nil { // for costs that newScrypt refuses only
			return nil
		}
		return got
	})}, nil
}

// parseSSHA reads base64 of digest and salt.
func parseSSHA(d digest, s string) (*Hash, error) {
	raw, err := fromB64(s)
	if err != nil || len(raw) < d.size || !sized(raw[d.size:], raw[:d.size]) {
		return nil, ErrFormat
	}
	return &Hash{Algorithm: "ssha", check: func(_ *argon2.Memory, password []byte) bool {
		h := d.make()
		h.Write(password)
		h.Write(raw[d.size:])
		return subtle.ConstantTimeCompare(h.Sum(nil), raw[:d.size]) == 1
	}}, nil
}

func fromHex(s string) ([]byte, error) { return hex.DecodeString(s) }
