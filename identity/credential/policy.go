package credential

import (
	_ "embed"
	"strings"
	"unicode/utf8"

	"github.com/quis-idp/quis/identity"
)

// Bounds of a password. NIST SP 800-63B-4 §3.1.1.2 asks for length and a list of what
// everybody tries first, and against rules of composition.
const (
	minRunes    = 8
	maxRunes    = 256
	maxPassword = 1024 // bytes
)

//go:embed common.txt
var commonText string

// common are the passwords of at least minRunes that head every published list of
// guesses, in lower case. Searching leaked ones by the million is another room's work.
var common = func() map[string]bool {
	m := map[string]bool{}
	for p := range strings.Lines(commonText) {
		m[strings.TrimSpace(p)] = true
	}
	return m
}()

// Acceptable reports identity.ErrInvalid, field password, with a sentence for the person,
// if password cannot be a new password of somebody with these names (username, email address).
func Acceptable(password string, names ...string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return identity.Invalid("password", "The password holds characters that cannot be read. Type it again.")
	case n < minRunes:
		return identity.Invalid("password", "Use at least 8 characters.")
	case n > maxRunes || len(password) > maxPassword:
		return identity.Invalid("password", "Use at most 256 characters.")
	case strings.Count(password, string([]rune(password)[:1])) == n:
		return identity.Invalid("password", "Use more than one character over and over.")
	case common[strings.ToLower(strings.TrimSpace(password))]:
		return identity.Invalid("password", "That is one of the passwords that are guessed first. Choose another.")
	}
	for _, name := range names {
		local, _, _ := strings.Cut(name, "@")
		for _, s := range []string{name, local} {
			if s != "" && strings.EqualFold(strings.TrimSpace(password), strings.TrimSpace(s)) {
				return identity.Invalid("password", "The password must not be your username or email address.")
			}
		}
	}
	return nil
}
