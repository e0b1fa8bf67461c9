package device

import (
	"crypto/rand"
	"strings"
)

const (
	// alphabet has no vowels, so no words, and nothing that is mistaken for a digit (RFC 8628, section 6.1).
	alphabet   = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength = 8 // 34.5 bits: see DESIGN.md for what a guesser has against that
	maxTyped   = 64
)

// newUserCode draws a code, each letter as likely as any other.
func newUserCode() string {
	const fair = 256 - 256%len(alphabet)
	code := make([]byte, 0, codeLength)
	var b [2 * codeLength]byte
	for {
		rand.Read(b[:])
		for _, c := range b {
			if int(c) >= fair {
				continue
			}
			if code = append(code, alphabet[int(c)%len(alphabet)]); len(code) == codeLength {
				return string(code)
			}
		}
	}
}

// ShowUserCode writes a code as people read it: XXXX-XXXX.
func ShowUserCode(code string) string {
	if len(code) != codeLength {
		return code
	}
	return code[:codeLength/2] + "-" + code[codeLength/2:]
}

// ParseUserCode reads what a person typed: case, spaces and dashes, which phones make
// into others of their kind, do not matter. ok is false for what can be no code.
func ParseUserCode(typed string) (code string, ok bool) {
	if len(typed) > maxTyped {
		return "", false
	}
	var b strings.Builder
	for _, c := range typed {
		switch {
		case c == ' ' || c == '\t' || c == '\u00a0' || c == '-' || c == '_' || c == '.' || '\u2010' <= c && c <= '\u2015' || c == '\u2212':
			continue
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		if c > 0x7f || strings.IndexByte(alphabet, byte(c)) < 0 || b.Len() == codeLength {
			return "", false
		}
		b.WriteByte(byte(c))
	}
	return b.String(), b.Len() == codeLength
}
