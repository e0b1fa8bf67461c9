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

	LongestMinimum = 64 // characters that can be asked for: NIST SP 800-63B-4 wants passwords of 64 to be possible

	MaxBlocked = 1000 // words of a Blocklist
	minBlocked = 3    // characters of one: a password is compared as a whole, so short words are not found within others
	maxBlocked = 64
)

// A Policy is what a tenant asks of new passwords. The zero value asks for the least that
// is possible; Default is what is safe.
type Policy struct {
	MinLength int           // characters, Shortest to LongestMinimum; what is beyond counts as the nearer of them
	MinScore  int           // 0 to 4, see Verdict
	MaxAge    time.Duration // after which a password must be changed; 0: never
	History   int           // former passwords that cannot be had again, up to MaxHistory

	// Kinds of characters. NIST advises against asking for them; some auditors do not.
	RequireUppercase bool
	RequireNumber    bool
	RequireSpecial   bool

	// Blocklist are words of the house (its name, its products) that cannot be a password,
	// in capitals or not, repeated, and with whatever digits and signs around them: ß is ss, and full width
	// no other letter. A password that has one among others is fine. See Blockable.
	Blocklist []string

	// AllowBreached lets passwords through that are known from leaks.
	AllowBreached bool
}

// Default is the policy of a tenant that has none. NIST SP 800-63B-4 §3.1.1.2 asks for 15
// characters where the password can be the only factor, and for 8 where it cannot.
var Default = Policy{MinLength: 15, MinScore: 2}

// Least is the number of characters that p asks for.
func (p Policy) Least() int { return min(max(p.MinLength, Shortest), LongestMinimum) }

// Blockable reports whether word can stand in a Blocklist: it has 3 to 64 characters, and nothing
// at its ends that comparing would take away.
func Blockable(word string) bool {
	n := utf8.RuneCountInString(word)
	return n >= minBlocked && n <= maxBlocked && word == strings.TrimSpace(identity.Printable(word, len(word)))
}

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
