package recovery

import (
	"crypto/rand"
	"strings"
)

const (
	length = 12 // characters of five bits: 60 bits
	group  = 4
)

// alphabet is Crockford's base 32 in lower case: no i, l, o, u. What looks alike when
// written by hand is read as the one that is in it.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// fresh returns a random code as it is stored: without the dashes.
func fresh() string {
	b := make([]byte, length)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

// shown puts dashes between the groups of a code: "k7qm-2x9d-p4rt".
func shown(code string) string {
	var parts []string
	for ; len(code) > group; code = code[group:] {
		parts = append(parts, code[:group])
	}
	return strings.Join(append(parts, code), "-")
}

// typed returns a code as it was meant, or "" if it is none: spaces, dashes, capitals
// and characters that look like another are no mistake.
func typed(s string) string {
	if len(s) > 64 {
		return ""
	}
	code := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '\u00a0' || r == '\t' || r == '\u2010' || r == '\u2011' || r == '\u2013':
			r = '-'
		}
		switch r {
		case ' ', '-':
			return -1
		case 'o':
			return '0'
		case 'i', 'l':
			return '1'
		}
		return r
	}, s)
	if len(code) != length || strings.Trim(code, alphabet) != "" {
		return ""
	}
	return code
}
