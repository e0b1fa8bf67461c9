package language

import (
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/text/language"
)

// A Tag is one of the languages that are spoken here, as BCP 47 writes it.
type Tag string

// Source is the language that all sentences are written in first.
const Source Tag = "en"

// All are the languages that are spoken here, as a person finds them in a list.
var All = []Tag{"de", "en", "es", "fr", "it", "pl", "pt", "ja"}

var names = map[Tag]string{
	"de": "Deutsch", "en": "English", "es": "Español", "fr": "Français", "it": "Italiano", "ja": "日本語", "pl": "Polski", "pt": "Português",
}

// Name is what those who speak t call it.
func (t Tag) Name() string { return names[t] }

// Direction is "ltr" or "rtl", as the dir attribute of HTML has it.
func (t Tag) Direction() string { return "ltr" }

// Parse returns the language that s names exactly.
func Parse(s string) (Tag, bool) {
	_, ok := names[Tag(s)]
	return Tag(s), ok
}

var matcher = language.NewMatcher(func() []language.Tag {
	tags := []language.Tag{language.MustParse(string(Source))} // the first is what nothing matches
	for _, t := range All {
		tags = append(tags, language.MustParse(string(t)))
	}
	return tags
}())

// Limits of a list of languages: a stranger writes it.
const (
	maxList       = 256  // bytes; the rest is not looked at
	maxRemembered = 1000 // lists
)

// Outcomes of lists that were seen: browsers send few different ones.
var (
	remembered sync.Map // list -> Tag, "" for none
	remembers  atomic.Int32
)

// Match finds the language that suits list best, which is an Accept-Language header (RFC
// 9110 §12.5.4) or names with spaces between, best first (OpenID Connect ui_locales). It
// reports false if none of ours is understood by who reads those.
func Match(list string) (Tag, bool) {
	if len(list) > maxList {
		list = list[:maxList]
		list = list[:strings.LastIndexAny(list, ", ")+1]
	}
	if t, ok := remembered.Load(list); ok {
		return t.(Tag), t != Tag("")
	}
	t := match(list)
	if remembers.Add(1) <= maxRemembered {
		remembered.Store(list, t)
	}
	return t, t != ""
}

func match(list string) Tag {
	if !strings.ContainsAny(list, ",;") {
		list = strings.Join(strings.Fields(list), ",")
	}
	wanted, _, err := language.ParseAcceptLanguage(list)
	if err != nil { // one that is wrong spoils the list: take those that can be read
		wanted = nil
		for part := range strings.SplitSeq(list, ",") {
			name, _, _ := strings.Cut(part, ";")
			if t, err := language.Parse(strings.TrimSpace(name)); err == nil {
				wanted = append(wanted, t)
			}
		}
	}
	for _, w := range wanted {
		if w == language.Und {
			continue
		}
		if _, i, sure := matcher.Match(w); sure > language.No {
			if i == 0 {
				return Source
			}
			return All[i-1]
		}
	}
	return ""
}
