package strength

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quis-idp/quis/identity"
)

// Bounds of every policy.
const (
	Shortest   = 8    // characters, whatever a policy says
	Longest    = 256  // characters, whatever a policy says
	MaxBytes   = 1024 // of a password
	MaxHistory = 24   // former passwords: each costs a hash when a password is changed

	longestMinimum = 64 // NIST SP 800-63B-4 wants passwords of 64 characters to be possible
	maxBlocked     = 1000
	maxBlockedWord = 64 // characters
	minAge         = 24 * time.Hour
)

// A Policy is what a tenant asks of new passwords. The zero value asks for the least that
// is possible; Default is what is safe.
type Policy struct {
	MinLength int           // characters, Shortest to 64; less counts as Shortest
	MinScore  int           // 0 to 4, see Verdict
	MaxAge    time.Duration // after which a password must be changed; 0: never
	History   int           // former passwords that cannot be had again, up to MaxHistory

	// Kinds of characters. NIST advises against asking for them; some auditors do not.
	RequireUppercase bool
	RequireNumber    bool
	RequireSpecial   bool

	// Blocklist are words of the house (its name, its products) that cannot be a password,
	// however they are spelled and with whatever digits around them.
	Blocklist []string

	// AllowBreached lets passwords through that are known from leaks.
	AllowBreached bool
}

// Default is the policy of a tenant that has none. NIST SP 800-63B-4 §3.1.1.2 asks for 15
// characters where the password can be the only factor, and for 8 where it cannot.
var Default = Policy{MinLength: 15, MinScore: 2}

// Check reports identity.ErrInvalid for a policy that cannot be, with the field as it is
// spelled in JSON.
func (p Policy) Check() error {
	switch {
	case p.MinLength != 0 && (p.MinLength < Shortest || p.MinLength > longestMinimum):
		return identity.Invalid("min_length", "The least length is a number of characters from 8 to 64.")
	case p.MinScore < 0 || p.MinScore > 4:
		return identity.Invalid("min_score", "The least score is a number from 0 to 4.")
	case p.MaxAge != 0 && p.MaxAge < minAge:
		return identity.Invalid("max_age", "Passwords can be used for a day at least; 0 is for ever.")
	case p.History < 0 || p.History > MaxHistory:
		return identity.Invalid("history", "At most 24 former passwords can be remembered.")
	case len(p.Blocklist) > maxBlocked:
		return identity.Invalid("blocklist", "The list can have at most 1000 words.")
	}
	for _, word := range p.Blocklist {
		if strings.TrimSpace(word) == "" || utf8.RuneCountInString(word) > maxBlockedWord || !utf8.ValidString(word) {
			return identity.Invalid("blocklist", "Each word of the list has 1 to 64 characters.")
		}
	}
	return nil
}

// Least is the number of characters that p asks for.
func (p Policy) Least() int { return min(max(p.MinLength, Shortest), longestMinimum) }

// Told is what people and programs are told of a policy, in the names that settings have. The
// words that a tenant keeps out are not in it.
type Told struct {
	MinLength  int  `json:"min_length" example:"15" doc:"Least number of characters."`
	MaxLength  int  `json:"max_length" example:"256" doc:"Greatest number of characters."`
	MinScore   int  `json:"min_strength" example:"2" doc:"How hard it must be to guess, 0 to 4."`
	Uppercase  bool `json:"require_uppercase" doc:"Whether a capital letter is asked for."`
	Number     bool `json:"require_number" doc:"Whether a digit is asked for."`
	Special    bool `json:"require_special" doc:"Whether a character is asked for that is neither letter nor digit."`
	Breached   bool `json:"check_breached" example:"true" doc:"Whether passwords are refused that are known from leaks."`
	History    int  `json:"history" example:"0" doc:"How many former passwords cannot be had again."`
	MaxAgeDays int  `json:"max_age_days" example:"0" doc:"Days after which a new one is asked for; 0: never."`
}

// Told returns what p asks for.
func (p Policy) Told() Told {
	return Told{
		MinLength: p.Least(), MaxLength: Longest, MinScore: p.MinScore, History: p.History, MaxAgeDays: int(p.MaxAge.Hours() / 24),
		Uppercase: p.RequireUppercase, Number: p.RequireNumber, Special: p.RequireSpecial, Breached: !p.AllowBreached,
	}
}

// About is what is known of the person whose password it is: guessers know it too.
type About struct {
	Username, Email, Name string
	Others                []string // name of the tenant, given and family name
}

// words returns what the person could build a password of, in lower case and without
// what is too short to matter.
func (a About) words() []string {
	local, domain, _ := strings.Cut(a.Email, "@")
	all := append([]string{a.Username, a.Email, local, domain, a.Name}, a.Others...)
	for _, s := range all[:len(all):len(all)] {
		all = append(all, strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" .,-_@+", r) })...)
	}
	var words []string
	for _, s := range all {
		s = strings.ToLower(strings.TrimSpace(s))
		if n := utf8.RuneCountInString(s); n >= 3 && n <= Longest {
			words = append(words, s)
		}
		if len(words) == 100 {
			break
		}
	}
	return words
}
