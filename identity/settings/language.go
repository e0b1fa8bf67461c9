package settings

import (
	"slices"

	"github.com/quis-idp/quis/identity/language"
)

// Spoken are those of our languages that the tenant's pages and mail may be in, none: all, and
// the one that it has for people whose own is none of them, "": the first.
func (a *Authentication) Spoken() (open []language.Tag, standard language.Tag) {
	for _, name := range a.Languages {
		if t, ok := language.Match(name); ok && !slices.Contains(open, t) {
			open = append(open, t)
		}
	}
	if t, ok := language.Match(a.DefaultLanguage); ok {
		standard = t
	}
	return open, standard
}

// Speak is the language for somebody who reads those of list (see language.Match; "": nobody
// knows), as pages have it: the person's own if it is open, or else the tenant's, or English.
func (a *Authentication) Speak(list string) language.Tag {
	open, standard := a.Spoken()
	t, ok := language.Match(list)
	switch {
	case ok && (len(open) == 0 || slices.Contains(open, t)):
		return t
	case standard != "":
		return standard
	case len(open) > 0:
		return open[0]
	}
	return language.Source
}
