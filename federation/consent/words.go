package consent

import (
	"errors"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
)

// An Item is one thing that is asked for, in words.
type Item struct {
	Name      string // of the scope or claim; "" for the rest
	Text      string // a plain sentence; "" if nobody has written one
	Language  string // that Text is in
	Sensitive bool
	Optional  bool            // can be left out
	Lines     []resource.Line // of an authorization detail
}

// Words are what a person is asked, for a page to show. Scopes that are given without
// asking are not among them.
type Words struct {
	Items  []Item
	APIs   []string // names of the resource servers that the tokens will be for
	Claims []string // that are asked for by name
}

// Describe puts a question in words, in the first of the languages that there are words in.
func Describe(tx *fsm.Tx, app *federation.Application, q *Question, languages ...string) (w Words, err error) {
	for _, name := range q.Scopes {
		s, err := resource.Describe(tx, q.Tenant, name)
		if err != nil {
			return w, err
		}
		free, err := freeScope(tx, q.Tenant, name)
		if err != nil {
			return w, err
		}
		if free {
			continue
		}
		item := Item{Name: name, Sensitive: s.Sensitive, Optional: s.Optional}
		item.Text, item.Language = s.Texts.In(languages...)
		w.Items = append(w.Items, item)
	}
	for _, uri := range q.Resources {
		s, err := resource.ByIdentifier(tx, q.Tenant, uri)
		if errors.Is(err, fsm.ErrNotFound) {
			continue // the issuer itself
		}
		if err != nil {
			return w, err
		}
		w.APIs = append(w.APIs, s.Name)
	}
	all, err := resource.ReadDetails(string(q.Details))
	if err != nil {
		return w, err
	}
	for _, d := range all {
		in, err := resource.Words(tx, app, d, languages...)
		if err != nil {
			return w, err
		}
		w.Items = append(w.Items, Item{Text: in.Text, Language: in.Language, Lines: in.Lines})
	}
	w.Claims, err = extraClaims(tx, q.Tenant, q.Scopes, q.Claims)
	return w, err
}
