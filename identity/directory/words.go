package directory

import (
	"iter"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// Bounds of what of a name is in the index: each word is an entry more.
const (
	maxWords = 8
	maxWord  = 32 // bytes, folded
)

// named finds users by the words of their names: a scan of 100 000 users, by which they would be found
// without, takes some two seconds of a core. A word costs 63 bytes of the entry that writes its user (two make
// 1 260 of 1 134 bytes) and no time that could be measured; a page, by maxLooked, 10 ms at the worst, and 75
// where nothing is in the cache. A row that was written before this index was kept, or by a member of
// an older release, is in it when Reindex has come by.
var named = users.Index(4, "names", func(u *User) (keys []fsm.Key) {
	for _, w := range u.words() {
		keys = append(keys, fsm.K(w))
	}
	return keys
})

// words are those by which the index has u, sorted.
func (u *User) words() []string { return indexed(u.allWords()) }

// indexed are those of all words that are in the index.
func indexed(all []string) (out []string) {
	for _, w := range all {
		if w = begin(w); len(out) < maxWords && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out
}

func (u *User) allWords() []string { return wordsOf(u.FamilyName + " " + u.GivenName + " " + u.Name) }

// plain is for letters that have no accent to be taken away, but are written without.
var plain = strings.NewReplacer("ł", "l", "ø", "o", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i")

// wordsOf returns the words of a text, folded: without case, accents and forms of compatibility.
func wordsOf(s string) []string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) { // most, at a tenth of the price
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !isAlphanumeric(r) })
	}
	folded := cases.Fold().String(norm.NFKD.String(s))
	bare := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(folded))
	return strings.FieldsFunc(plain.Replace(bare), func(r rune) bool { return !unicode.In(r, unicode.L, unicode.N, unicode.Mc) })
}

// begin is as much of a word as the index has.
func begin(word string) string {
	if len(word) <= maxWord {
		return word
	}
	return strings.ToValidUTF8(word[:maxWord], "") // no half of a letter
}

// called are those among several who are called so: each word of the search begins a word of the name.
type called struct {
	words []string
	look  string // the longest of them, as the index has it
}

func newCalled(search string) (c called) {
	if strings.Contains(search, "@") { // an address
		return c
	}
	c.words = wordsOf(identity.Printable(search, maxEmail))
	for _, w := range c.words {
		if w = begin(w); len(w) > len(c.look) {
			c.look = w
		}
	}
	return c
}

// places lists who may be meant, by the word that begins so, once for each such word.
func (c called) places(tx *fsm.Tx, tenant string, after string) iter.Seq2[*fsm.Place[User], error] {
	return named.Places(tx, fsm.Scope(tenant), fsm.Prefix(fsm.Key(c.look)), fsm.After(after))
}

// here reports whether the user of a place is meant, and this is the first place of theirs.
func (c called) here(p *fsm.Place[User]) bool {
	has := p.Row.allWords()
	for _, w := range c.words {
		if !slices.ContainsFunc(has, func(name string) bool { return strings.HasPrefix(name, w) }) {
			return false
		}
	}
	for _, w := range indexed(has) {
		if strings.HasPrefix(w, c.look) {
			return p.Cursor == named.CursorAt(p.Row, fsm.K(w))
		}
	}
	return false
}
