package language

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// A Catalogue holds the sentences of a room in all languages.
type Catalogue struct {
	tables  map[Tag]map[string]sentence
	plurals map[string]bool // keys that have an entry for each plural form
}

// Behind the key of a sentence that depends on a number: "key#few".
const formMark = "#"

var formNames = map[plural.Form]string{
	plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other",
}

// New takes the English sentences of a room by key, and reads the translations of files
// from texts/de.json and so on: one flat object of key and sentence each. A file that is
// not there is a language that the room does not speak yet. It panics if a sentence
// cannot be read: a programming error.
func New(english map[string]string, files fs.FS) *Catalogue {
	c := &Catalogue{tables: map[Tag]map[string]sentence{}, plurals: map[string]bool{}}
	c.add(Source, english)
	for key := range english {
		if base, _, ok := strings.Cut(key, formMark); ok {
			c.plurals[base] = true
		}
	}
	for _, t := range All {
		if t == Source || files == nil {
			continue
		}
		name := "texts/" + string(t) + ".json"
		b, err := fs.ReadFile(files, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var texts map[string]string
		if err == nil {
			err = json.Unmarshal(b, &texts)
		}
		if err != nil {
			panic(fmt.Sprintf("language: %s: %v", name, err))
		}
		c.add(t, texts)
	}
	return c
}

func (c *Catalogue) add(t Tag, texts map[string]string) {
	c.tables[t] = make(map[string]sentence, len(texts))
	for key, text := range texts {
		s, err := parse(text)
		if err != nil {
			panic(fmt.Sprintf("language: %s: %s: %v", t, key, err))
		}
		c.tables[t][key] = s
	}
}

// Has reports whether there is a sentence at key.
func (c *Catalogue) Has(key string) bool {
	return c.plurals[key] || c.tables[Source][key] != nil
}

// Text says the sentence at key in t, or in English where t lacks it.
func (c *Catalogue) Text(t Tag, key string, args ...any) (string, error) {
	if !c.Has(key) {
		return "", fmt.Errorf("there is no text %q", key)
	}
	for _, t := range []Tag{t, Source} {
		if s, ok := c.tables[t][c.entry(t, key, args)]; ok {
			text, err := s.say(t, args)
			if err != nil {
				return "", fmt.Errorf("text %q: %w", key, err)
			}
			return text, nil
		}
	}
	return "", fmt.Errorf("text %q lacks the plural form", key)
}

// entry is key, with the plural form behind it that t has for the first number of args.
func (c *Catalogue) entry(t Tag, key string, args []any) string {
	if !c.plurals[key] {
		return key
	}
	for _, a := range args {
		if n, ok := whole(a); ok {
			return key + formMark + form(t, n)
		}
	}
	return key + formMark + "other"
}

// form is the plural form that t has for n (CLDR).
func form(t Tag, n int64) string {
	const large = 10_000_000 // beyond, only the last digits matter
	if n = max(n, -n); n >= large {
		n = n%large + large
	}
	return formNames[plural.Cardinal.MatchPlural(parsed[t], int(n), 0, 0, 0, 0)]
}

// parsed is each Tag as x/text knows it: to read one for each number costs more than to say it.
var parsed = func() map[Tag]language.Tag {
	tags := map[Tag]language.Tag{}
	for _, t := range All {
		tags[t] = language.Make(string(t))
	}
	return tags
}()

// forms are the plural forms of whole numbers in t, with how many of the first thousand each stands for.
func forms(t Tag) map[string]int {
	all := map[string]int{}
	for n := range int64(1000) {
		all[form(t, n)]++
	}
	return all
}

// Faults says what is wrong with the translations, sorted; empty: nothing. It takes a while: tests ask for it.
func (c *Catalogue) Faults() (faults []string) {
	fault := func(t Tag, key, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s: ", t, key)+fmt.Sprintf(format, args...))
	}
	for _, t := range All {
		wanted := map[string]string{} // key in t -> key of its English twin
		for key := range c.tables[Source] {
			base, _, ok := strings.Cut(key, formMark)
			if !ok {
				wanted[key] = key
				continue
			}
			for f := range forms(t) {
				wanted[base+formMark+f] = base + formMark + "other"
			}
		}
		for key, twin := range wanted {
			have, ok := c.tables[t][key]
			if !ok {
				fault(t, key, "missing")
			} else if !samePlaces(t, key, have, c.tables[Source][twin]) {
				fault(t, key, "the places are %v, in English %v", shown(have), shown(c.tables[Source][twin]))
			}
		}
		for key := range c.tables[t] {
			if _, ok := wanted[key]; !ok {
				fault(t, key, "is not needed")
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// samePlaces compares what is said with what English says. The number may be left out of
// a plural form that stands for few numbers, such as "a minute".
func samePlaces(t Tag, key string, have, english sentence) bool {
	a, b := have.places(), english.places()
	if maps.Equal(a, b) {
		return true
	}
	_, f, ok := strings.Cut(key, formMark)
	if !ok || forms(t)[f] > 2 {
		return false
	}
	for arg, verb := range b {
		if verb == 'd' {
			delete(b, arg)
			break
		}
	}
	return maps.Equal(a, b)
}

func shown(s sentence) string {
	var words []string
	places := s.places()
	for _, arg := range slices.Sorted(maps.Keys(places)) {
		words = append(words, fmt.Sprintf("%%[%d]%c", arg, places[arg]))
	}
	return strings.Join(words, " ")
}
