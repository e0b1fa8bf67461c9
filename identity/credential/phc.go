package credential

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// Params are the costs of argon2id.
type Params = argon2.Params

// DefaultParams are OWASP's minimum: 19 MiB, two passes, one thread; about 25 ms of one core.
var DefaultParams = Params{Memory: 19 << 10, Time: 2, Threads: 1}

// What is hashed with: RFC 9106 §4 recommends these lengths.
const (
	saltSize = 16
	keySize  = 32
)

const maxPHC = 256 // bytes of the whole text

var errPHC = errors.New("not an argon2id hash within our bounds")

// A phc is a parsed hash in PHC string format.
type phc struct {
	Params
	salt, key []byte
}

func (h phc) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		h.Memory, h.Time, h.Threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

// parsePHC reads exactly what String writes, within the bounds, and nothing else. Its
// errors do not repeat the text.
func parsePHC(s string) (phc, error) {
	var h phc
	part := strings.Split(s, "$")
	if len(s) > maxPHC || len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != "v=19" {
		return phc{}, errPHC
	}
	cost := strings.Split(part[3], ",")
	if len(cost) != 3 {
		return phc{}, errPHC
	}
	threads := uint32(0)
	for i, p := range []struct {
		name string
		to   *uint32
		bits int
	}{{"m=", &h.Memory, 32}, {"t=", &h.Time, 32}, {"p=", &threads, 8}} {
		digits, ok := strings.CutPrefix(cost[i], p.name)
		n, err := strconv.ParseUint(digits, 10, p.bits)
		if !ok || err != nil {
			return phc{}, errPHC
		}
		*p.to = uint32(n)
	}
	h.Threads = uint8(threads)
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(part[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(part[5])
	if err1 != nil || err2 != nil || !h.Within() ||
		len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return phc{}, errPHC
	}
	if h.String() != s { // leading zeros, signs, loose base64: one hash, one spelling
		return phc{}, errPHC
	}
	return h, nil
}
