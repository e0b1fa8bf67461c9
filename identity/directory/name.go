package directory

import (
	"errors"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/identity"
)

// Bounds of text, in bytes.
const (
	maxUsername    = 128
	maxEmail       = 254 // RFC 5321 §4.5.3.1.3, less the brackets
	maxName        = 200
	maxDescription = 1000
	maxLocale      = 35 // RFC 5646 §4.4.1
	maxSlug        = 40
)

// reserved slugs would read like something of ours in a URL or a sentence.
var reserved = []string{
	"account", "admin", "api", "default", "health", "healthz", "livez", "login", "logout", "metrics", "oauth2",
	"quis", "readyz", "saml", "scim", "setup", "ssf", "static", "system", "t", "www", "well-known",
}

// checkSlug: lower-case letters, digits and inner hyphens, because it is a path segment.
func checkSlug(s string) error {
	if len(s) < 1 || len(s) > maxSlug || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return identity.Invalid("slug", "must be 1 to 40 lower-case letters, digits and hyphens")
	}
	if s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return identity.Invalid("slug", "must not begin or end with a hyphen or have two in a row")
	}
	if slices.Contains(reserved, s) {
		return identity.Invalid("slug", "is reserved")
	}
	return nil
}

// usernameKey is the username under which two spellings are the same: PRECIS
// UsernameCaseMapped (RFC 8265 §3.3): full-width forms narrowed, case folded, NFC,
// no compatibility characters, the bidi rule. It is empty for what is no username.
func usernameKey(s string) string {
	if s == "" || len(s) > maxUsername {
		return ""
	}
	k, err := precis.UsernameCaseMapped.String(s)
	if err != nil {
		return ""
	}
	return k
}

// checkUsername adds to PRECIS what it leaves to the application: no name that looks
// like another by mixing scripts (Latin a, Cyrillic а), no signs but ._-+@. A name
// wholly in another script is welcome; that it may resemble a Latin one is not
// prevented, administrators see the ID.
func checkUsername(name, email string) error {
	key := usernameKey(name)
	if key == "" {
		return identity.Invalid("username", "must be 1 to 128 letters, digits and . _ - + @, without spaces")
	}
	for i, r := range key {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
		if !letter && (i == 0 || !strings.ContainsRune("._-+@", r)) {
			return identity.Invalid("username", "may have letters, digits and . _ - + @ and begins with a letter or digit")
		}
	}
	if mixesScripts(key) {
		return identity.Invalid("username", "must not mix alphabets that look alike")
	}
	// Else someone could take another's address for a name and be mistaken for them.
	if strings.Contains(key, "@") && (emailKey(name) == "" || emailKey(name) != emailKey(email)) {
		return identity.Invalid("username", "with an @ must be the user's own email address")
	}
	return nil
}

// together are scripts that are written in one word; UTS #39 §5.2, highly restrictive.
var together = []string{"Latin", "Han", "Hiragana", "Katakana", "Bopomofo", "Hangul"}

func mixesScripts(s string) bool {
	found := ""
	for _, r := range s {
		script := scriptOf(r)
		switch {
		case script == "" || script == found:
		case found == "":
			found = script
		case slices.Contains(together, script) && slices.Contains(together, found):
		default:
			return true
		}
	}
	return false
}

// scriptOf returns the script of a letter; empty for what all scripts share.
func scriptOf(r rune) string {
	if r < unicode.MaxASCII {
		if unicode.IsLetter(r) {
			return "Latin"
		}
		return ""
	}
	if unicode.In(r, unicode.Common, unicode.Inherited) {
		return ""
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return "unknown"
}

// emailKey is the address under which two spellings are the same, empty for what is
// none. It keeps to addresses that every mail server takes: a dot-atom of ASCII (RFC
// 5321 §4.1.2 without quoted strings) at a host name; an international domain is
// written as its A-labels (xn--…), so that one mailbox has one spelling. Case is
// folded: RFC 5321 lets the local part tell cases apart, and nobody does.
func emailKey(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(local) > 64 || len(s) > maxEmail {
		return ""
	}
	for _, atom := range strings.Split(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, notAtext) {
			return ""
		}
	}
	for _, label := range strings.Split(domain, ".") { // RFC 1034 §3.5
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label ||
			strings.ContainsFunc(label, func(r rune) bool { return r != '-' && !isAlphanumeric(r) }) {
			return ""
		}
	}
	return strings.ToLower(s)
}

// UserKeys are the username and the address under which two spellings are the same, as the
// directory compares them; empty for what is none.
func UserKeys(username, email string) (name, address string) {
	return usernameKey(strings.TrimSpace(username)), emailKey(strings.TrimSpace(email))
}

func notAtext(r rune) bool {
	return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// nameKey is a free name under which two spellings are the same.
func nameKey(s string) string {
	return cases.Fold().String(norm.NFKC.String(s))
}

// searchKey prepares the beginning of a group's name for a search in keys.
func searchKey(s string) string {
	return nameKey(identity.Printable(strings.TrimSpace(s), maxEmail))
}

// userSearchKey prepares the beginning of a username or address; it need be no whole
// one, so PRECIS is not asked, only its case mapping followed.
func userSearchKey(s string) string {
	return strings.ToLower(norm.NFKC.String(identity.Printable(strings.TrimSpace(s), maxEmail)))
}

// cleanName is how a name is stored: NFC, trimmed, printable. What is too long stays
// too long, for the check that follows.
func cleanName(s string) string {
	return strings.TrimSpace(norm.NFC.String(identity.Printable(s, maxDescription+4)))
}

func (u *User) check() error {
	u.Username = norm.NFC.String(strings.TrimSpace(u.Username))
	u.Email = strings.TrimSpace(u.Email)
	var errs []error
	if u.Email != "" && emailKey(u.Email) == "" {
		errs = append(errs, identity.Invalid("email", "is not an email address"))
	}
	if err := checkUsername(u.Username, u.Email); err != nil {
		errs = append(errs, err)
	}
	for _, f := range []struct {
		name string
		text *string
	}{{"name", &u.Name}, {"given_name", &u.GivenName}, {"family_name", &u.FamilyName}} {
		if *f.text = cleanName(*f.text); len(*f.text) > maxName {
			errs = append(errs, identity.Invalid(f.name, "must be at most 200 characters long"))
		}
	}
	if !validLocale(u.Locale) {
		errs = append(errs, identity.Invalid("locale", "must be a language tag such as en or de-CH"))
	}
	if u.EmailVerified && u.Email == "" {
		errs = append(errs, identity.Invalid("email_verified", "needs an email address"))
	}
	return errors.Join(errs...)
}

// validLocale checks the shape of a language tag (BCP 47; nobody has registered a language of more than three
// letters); whether we speak it is for the pages.
func validLocale(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > maxLocale {
		return false
	}
	for i, sub := range strings.Split(s, "-") {
		if sub == "" || len(sub) > 8 || strings.ContainsFunc(sub, func(r rune) bool { return !isAlphanumeric(r) }) {
			return false
		}
		if i == 0 && (len(sub) < 2 || len(sub) > 3 || strings.ContainsAny(sub, "0123456789")) {
			return false
		}
	}
	return true
}
