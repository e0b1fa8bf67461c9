package strength

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nbutton23/zxcvbn-go"
	"github.com/nbutton23/zxcvbn-go/frequency"
	"github.com/nbutton23/zxcvbn-go/match"
	"github.com/nbutton23/zxcvbn-go/matching"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/identity"
)

// The lists have been ranked by package matching, and nobody else reads them: 2 MiB.
func init() { clear(frequency.Lists) }

// Codes of faults, for programs and translations.
const (
	TooShort   = "too_short" // Fault.Number: characters that are asked for
	TooLong    = "too_long"
	Unreadable = "unreadable"
	Repeated   = "repeated"
	Common     = "common"
	Blocked    = "blocked"
	Personal   = "personal"
	Guessable  = "guessable"
	Uppercase  = "uppercase"
	Number     = "number"
	Special    = "special"
	Breached   = "breached" // found by credential/breach
	Reused     = "reused"   // found by credential
	Present    = "present"  // found by credential
)

// texts are the sentences of the codes. They say what to do.
var texts = map[string]string{
	TooShort:   "Use at least %d characters. Several words in a row are easy to remember.",
	TooLong:    "Use at most 256 characters.",
	Unreadable: "The password holds characters that cannot be read. Type it again.",
	Repeated:   "Use more than the same few characters over and over.",
	Common:     "That is one of the passwords that are guessed first. Choose another.",
	Blocked:    "That word cannot be the password here. Choose another.",
	Personal:   "The password must not be your name, username or email address.",
	Guessable:  "This would be guessed too easily. Add a few words that have nothing to do with each other.",
	Uppercase:  "Use at least one capital letter.",
	Number:     "Use at least one digit.",
	Special:    "Use at least one character that is neither letter nor digit.",
	Breached:   "This password is known from a leak of another site. Choose one that you use nowhere else.",
	Reused:     "You have had this password before. Choose a new one.",
	Present:    "This is your current password. Choose a new one.",
}

// A Fault is one thing that is wrong with a password.
type Fault struct {
	Code   string `json:"code"`
	Text   string `json:"text"`             // a sentence for the person
	Number int    `json:"number,omitempty"` // the one in the text, for translations
}

// NewFault returns the fault of a code.
func NewFault(code string, number int) Fault {
	text := texts[code]
	if strings.Contains(text, "%d") {
		text = fmt.Sprintf(text, number)
	}
	return Fault{Code: code, Text: text, Number: number}
}

// A Verdict is what is to be said about a password.
type Verdict struct {
	// Score is how hard it is to guess: 0 under a hundred guesses or so, 1 and 2 in
	// reach of whoever tries it online for long, 3 of a stolen hash, 4 out of reach.
	Score  int     `json:"score"`
	Faults []Fault `json:"faults"` // empty: it may be used
}

// Err returns nil, or identity.ErrInvalid, field password, with the first sentence.
func (v Verdict) Err() error {
	if len(v.Faults) == 0 {
		return nil
	}
	return identity.Invalid("password", v.Faults[0].Text)
}

func (v *Verdict) add(code string, number int) { v.Faults = append(v.Faults, NewFault(code, number)) }

//go:embed common.txt
var commonText string

// common are the passwords that head every published list of guesses, in lower case.
var common = func() map[string]bool {
	m := map[string]bool{}
	for p := range strings.Lines(commonText) {
		m[strings.TrimSpace(p)] = true
	}
	return m
}()

// Judge says what is wrong with a new password, and how hard it is to guess. The most
// important fault comes first.
func Judge(p Policy, password string, about About) Verdict {
	v := Verdict{Faults: []Fault{}}
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		v.add(Unreadable, 0)
		return v
	case n > Longest || len(password) > MaxBytes:
		v.add(TooLong, Longest)
		return v
	}
	words := about.words()
	v.Score = score(password, words, p.Blocklist)
	if n < p.Least() {
		v.add(TooShort, p.Least())
	}
	if n == 0 {
		return v
	}
	whole := fold(strings.TrimSpace(password))
	kernel := core(whole)
	is := func(list []string) bool {
		return slices.ContainsFunc(list, func(word string) bool {
			word = fold(strings.TrimSpace(word))
			return word != "" && (word == whole || kernel != "" && strings.Contains(word, kernel) && core(word) == kernel)
		})
	}
	known := len(v.Faults)
	switch {
	case utf8.RuneCountInString(unit(password)) <= 2 && n > 4:
		v.add(Repeated, 0)
	case common[whole] || common[kernel]:
		v.add(Common, 0)
	case is(words):
		v.add(Personal, 0)
	case is(p.Blocklist):
		v.add(Blocked, 0)
	}
	has := func(f func(rune) bool) bool { return strings.ContainsFunc(password, f) }
	if p.RequireUppercase && !has(unicode.IsUpper) {
		v.add(Uppercase, 0)
	}
	if p.RequireNumber && !has(unicode.IsDigit) {
		v.add(Number, 0)
	}
	if p.RequireSpecial && !has(func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		v.add(Special, 0)
	}
	if len(v.Faults) == known && v.Score < p.MinScore { // said of what nothing more exact is said of
		v.add(Guessable, p.MinScore)
	} else if len(v.Faults) > 0 {
		v.Score = min(v.Score, 2) // never "strong" about what is refused
	}
	return v
}

// fold is s as it is compared: in capitals or not, full width or not, and with ß as SS (Unicode, NFKC and case
// folding), as names are in the directory. Of ASCII, which most words are, that is the small letters.
func fold(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return cases.Fold().String(norm.NFKC.String(s))
	}
	return strings.ToLower(s)
}

// core is what is left of a folded password without what people put around a word: its repetition,
// and the digits and signs at its ends.
func core(folded string) string {
	s := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	return strings.TrimFunc(unit(s), func(r rune) bool { return !unicode.IsLetter(r) })
}

// unit is the shortest text of which s is a repetition; the last may be cut off. It is s
// if none fits in twice.
func unit(s string) string {
	r := []rune(s)
	// The failure function of Knuth, Morris and Pratt: its last value is the longest
	// beginning that is also an end.
	fail := make([]int, len(r)+1)
	k := 0
	for i := 1; i < len(r); i++ {
		for k > 0 && r[i] != r[k] {
			k = fail[k]
		}
		if r[i] == r[k] {
			k++
		}
		fail[i+1] = k
	}
	if period := len(r) - fail[len(r)]; len(r) > 0 && 2*period <= len(r) {
		return string(r[:period])
	}
	return s
}

const (
	scored  = 64 // characters that are looked at: the time grows with their cube
	maxLeet = 5  // kinds of characters that could stand for letters: the time doubles with each
)

// score is zxcvbn's, of 0 to 4. What is a repetition is as hard to guess as what is
// repeated: zxcvbn knows that of single characters only.
func score(password string, lists ...[]string) int {
	if password == "" {
		return 0
	}
	if r := []rune(unit(password)); len(r) > scored {
		password = string(r[:scored])
	} else {
		password = string(r)
	}
	var filters []func(match.Matcher) bool
	kinds := map[rune]bool{}
	for _, r := range password {
		if strings.ContainsRune(leet, r) {
			kinds[r] = true
		}
	}
	if len(kinds) > maxLeet {
		filters = append(filters, matching.FilterL33tMatcher)
	}
	return zxcvbn.PasswordStrength(password, slices.Concat(lists...), filters...).Score
}

// leet are the characters that zxcvbn takes for letters.
const leet = "4@8({[<369!1|0$5+7%2"
