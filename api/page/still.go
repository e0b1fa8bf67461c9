package page

import (
	"bytes"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/quis-idp/quis/identity/language"
)

// A Still is a page that keeps what was written, for the next who get the same but for what stands in its [Hole] and
// its [Gap]: to fill those in costs a third of writing it, or less. Everything else that it shows is part of what it is
// kept by, so nobody sees what was meant for another; what is somebody's own, and not in a hole, only fills its room.
//
// Its language can be changed on it where r says [Within] of an address in which a Hole may stand.
type Still[T comparable] struct {
	page *Template[T]

	mu   sync.RWMutex
	kept map[stillKey][]piece
}

// A stillKey is all that a Still depends on: a frame with its data.
type stillKey struct {
	tag language.Tag
	frame
}

// maxStills bounds what one page keeps: so many tenants' looks in so many languages.
const maxStills = 256

// StillOf is a Still that is written as p.
func StillOf[T comparable](p *Template[T]) *Still[T] {
	return &Still[T]{page: p, kept: map[stillKey][]piece{}}
}

// Hole stands in an address, or for all of a form's field, for a value that needs no quotes there: it is escaped as
// a parameter of an address is.
const Hole = "still-hole"

// Gap stands in a text, or for a whole attribute, for a few words. Where it stands for an address it is not looked
// at as the template does, which knows what leads elsewhere: see authn.LocalPath.
const Gap = "still-gap"

// Write answers with the page of data, which has value in place of the [Hole], and words in place of the [Gap].
func (s *Still[T]) Write(w http.ResponseWriter, r *http.Request, status int, data T, value, words string) error {
	key := stillKey{Language(r), frameOf(r)}
	key.Data = data
	if known, _ := r.Context().Value(wishKey{}).(wish); known.here != "" {
		key.Languages = choices(r, key.tag)
	}
	pieces, err := s.pieces(key)
	if err != nil {
		return err
	}
	b := sheets.Get().(*bytes.Buffer)
	defer sheets.Put(b)
	b.Reset()
	fill := map[string]string{Hole: url.QueryEscape(value), Gap: html.EscapeString(words)}
	for _, p := range pieces {
		b.WriteString(p.text)
		b.WriteString(fill[p.then])
	}
	send(w, r, status, key.tag, ContentSecurityPolicy, b.Bytes())
	return nil
}

// A piece is what stands before a [Hole], a [Gap], or the end: "".
type piece struct{ text, then string }

// pieces returns what was written with that key. While one is written all others are answered: whoever asks for pages that nobody has
// asked for yet must not hold them up.
func (s *Still[T]) pieces(key stillKey) ([]piece, error) {
	s.mu.RLock()
	kept := s.kept[key]
	s.mu.RUnlock()
	if kept != nil {
		return kept, nil
	}
	var b bytes.Buffer
	if err := s.page.render(&b, key.tag, key.frame); err != nil {
		return nil, err
	}
	fresh := cut(b.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == maxStills {
		clear(s.kept)
	}
	s.kept[key] = fresh
	return fresh, nil
}

// cut cuts a page at its holes.
func cut(body string) (pieces []piece) {
	for {
		at, then := len(body), ""
		for _, mark := range []string{Hole, Gap} {
			if i := strings.Index(body, mark); i >= 0 && i < at {
				at, then = i, mark
			}
		}
		pieces = append(pieces, piece{body[:at], then})
		if then == "" {
			return pieces
		}
		body = body[at+len(then):]
	}
}
