package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text from outside fit to be stored and shown: valid UTF-8, no
// control or direction-changing characters, at most limit bytes (cut at a character,
// with an ellipsis inside the limit). A stored row with invalid UTF-8 could never
// be read again, so whatever a stranger sends passes through here first.
func Printable(s string, limit int) string {
	const ellipsis = "…"
	long := len(s) > limit
	if long && len(s) > 4*limit { // do not work on megabytes for a few bytes
		s = s[:4*limit]
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit && !long {
		return s
	}
	cut := limit - len(ellipsis)
	if cut < 0 {
		return ""
	}
	for cut = min(cut, len(s)); cut > 0 && cut < len(s) && !utf8.RuneStart(s[cut]); {
		cut--
	}
	return s[:cut] + ellipsis
}
