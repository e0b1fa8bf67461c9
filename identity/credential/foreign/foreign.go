package foreign

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// What is wrong with a hash. Errors never repeat it.
var (
	// ErrFormat: it is in none of the forms that are read.
	ErrFormat = errors.New("not a password hash in a form that is known")
	// ErrCost: verifying it once would take too much time or memory.
	ErrCost = errors.New("password hash costs more to verify than a node may spend")
)

// Bounds of the text and what it holds.
const (
	MaxEncoded  = 1024 // bytes
	maxPassword = 1024 // bytes
	minSalt     = 4    // bytes
	maxSalt     = 64
	minKey      = 16
	maxKey      = 128
)

// A Hash is a parsed hash, within the bounds.
type Hash struct {
	Algorithm string // for metrics: bcrypt, pbkdf2-sha256 …

	longest int // bytes of a password that are hashed at all
	check   func(m *argon2.Memory, password []byte) bool
}

// Parse reads a hash. It reports ErrFormat and ErrCost, and hashes nothing.
func Parse(encoded string) (*Hash, error) {
	if len(encoded) > MaxEncoded || !utf8.ValidString(encoded) {
		return nil, ErrFormat
	}
	for _, f := range forms {
		if strings.HasPrefix(encoded, f.prefix) {
			h, err := f.parse(encoded[len(f.prefix):])
			if err != nil {
				return nil, err
			}
			if h.longest == 0 {
				h.longest = maxPassword
			}
			return h, nil
		}
	}
	return nil, ErrFormat
}

// forms are what hashes begin with. Where one prefix begins another, the longer is first.
var forms []struct {
	prefix string
	parse  func(rest string) (*Hash, error)
}

func init() { // a literal would refer to itself through Parse
	add := func(prefix string, parse func(string) (*Hash, error)) {
		forms = append(forms, struct {
			prefix string
			parse  func(rest string) (*Hash, error)
		}{prefix, parse})
	}
	for name, mode := range map[string]argon2.Mode{"argon2id": argon2.ID, "argon2i": argon2.I, "argon2d": argon2.D} {
		add("$"+name+"$", func(s string) (*Hash, error) { return parseArgon2(name, mode, s) })
	}
	add("argon2$", func(s string) (*Hash, error) { return inner("$"+s, "$argon2") }) // Django
	for _, version := range []string{"2a", "2b", "2y"} {
		add("$"+version+"$", func(s string) (*Hash, error) { return parseBcrypt("$"+version+"$"+s, false) })
	}
	add("bcrypt$", func(s string) (*Hash, error) { return parseBcrypt(s, false) })       // Django
	add("bcrypt_sha256$", func(s string) (*Hash, error) { return parseBcrypt(s, true) }) // Django
	for _, d := range digests {
		add("$pbkdf2-"+d.name+"$", func(s string) (*Hash, error) { return parsePBKDF2(d, s) })             // passlib
		add("pbkdf2_"+d.name+"$", func(s string) (*Hash, error) { return parsePBKDF2Text(d, s, fromB64) }) // Django
		add("pbkdf2:"+d.name+":", func(s string) (*Hash, error) { return parsePBKDF2Text(d, s, fromHex) }) // Werkzeug
		add("{SSHA"+strings.TrimPrefix(d.name, "sha")+"}", func(s string) (*Hash, error) { return parseSSHA(d, s) })
	}
	add("$pbkdf2$", func(s string) (*Hash, error) { return parsePBKDF2(digests[0], s) }) // passlib: SHA-1
	add("{SSHA}", func(s string) (*Hash, error) { return parseSSHA(digests[0], s) })
	add("$scrypt$", parseScrypt)      // passlib
	add("scrypt$", parseScryptDjango) // Django
	add("scrypt:", parseScryptText)   // Werkzeug
	add("$5$", func(s string) (*Hash, error) { return parseCrypt(sha256crypt, s) })
	add("$6$", func(s string) (*Hash, error) { return parseCrypt(sha512crypt, s) })
	for _, c := range []string{"{CRYPT}", "{crypt}"} {
		add(c, func(s string) (*Hash, error) { return inner(s, "$5$", "$6$", "$2a$", "$2b$", "$2y$") })
	}
	add("{", parseKeycloak)
}

// inner parses a hash within a hash, which must begin with one of those: nothing nests twice.
func inner(s string, prefixes ...string) (*Hash, error) {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return Parse(s)
		}
	}
	return nil, ErrFormat
}

// Matches reports whether password is the one that was hashed, in constant time for a
// hash and a length of password. It computes in m, and takes one hash, or two if password
// has characters that can be composed otherwise: other systems hash what the keyboard sent.
func (h *Hash) Matches(m *argon2.Memory, password string) bool {
	if password == "" || len(password) > h.longest {
		return false
	}
	typed, composed := []byte(password), norm.NFC.Bytes([]byte(password))
	return h.check(m, typed) || string(typed) != string(composed) && h.check(m, composed)
}

// equals makes the check of a hash whose key is derived.
func equals(key []byte, derive func(m *argon2.Memory, password []byte) []byte) func(*argon2.Memory, []byte) bool {
	return func(m *argon2.Memory, password []byte) bool {
		return subtle.ConstantTimeCompare(key, derive(m, password)) == 1
	}
}

// sized reports whether salt and key have lengths that can be.
func sized(salt, key []byte) bool {
	return len(salt) >= minSalt && len(salt) <= maxSalt && len(key) >= minKey && len(key) <= maxKey
}

// cost reads a number of at most nine digits, without sign or leading zero.
func cost(digits string) (int, error) {
	n, err := strconv.Atoi(digits)
	if len(digits) > 18 && strings.Trim(digits, "0123456789") == "" {
		return 0, ErrCost
	}
	if err != nil || strconv.Itoa(n) != digits || n < 1 {
		return 0, ErrFormat
	}
	return min(n, 1<<30), nil
}

// named reads costs such as m=64,t=2,p=1, of which each must be there, once, in any order.
func named(s string, names ...string) (map[string]int, error) {
	costs := map[string]int{}
	for part := range strings.SplitSeq(s, ",") {
		name, digits, _ := strings.Cut(part, "=")
		n, err := cost(digits)
		if err != nil {
			return nil, err
		}
		costs[name] = n
		if len(costs) > len(names) {
			break
		}
	}
	for _, name := range names {
		if costs[name] == 0 {
			return nil, ErrFormat
		}
	}
	if len(costs) != len(names) || strings.Count(s, ",") != len(names)-1 {
		return nil, ErrFormat
	}
	return costs, nil
}

// fromB64 decodes base64, padded or not, with passlib's . for + as well.
func fromB64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.ReplaceAll(strings.TrimRight(s, "="), ".", "+"))
}
