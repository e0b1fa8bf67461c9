package page

import (
	"bytes"
	"html"
	"net/http"
	"net/url"
	"sync"

	"github.com/quis-idp/quis/identity/language"
)

// A Still is a page that shows nothing of whoever reads it, and keeps what was written: for those
// on whom nothing may be spent. Its language cannot be changed on it. What it says may have a
// [Hole] for where they came from, and a [Gap].
type Still[T any] struct {
	page *Template[T]
	data func(r *http.Request) T

	mu   sync.Mutex
	kept map[stillKey][]byte
}

// A stillKey is all that a Still depends on.
type stillKey struct {
	tag language.Tag
	frame
}

// maxStills bounds what one page keeps: so many tenants' looks in so many languages.
const maxStills = 256

// StillOf is a Still that is written as p. What it shows may depend on the language of r only.
func StillOf[T any](p *Template[T], data func(r *http.Request) T) *Still[T] {
	return &Still[T]{page: p, data: data, kept: map[stillKey][]byte{}}
}

// Hole stands in an address that a Still shows, for the value of a parameter that it is given when
// it is written.
const Hole = "still-hole"

// Gap stands in the text of a Still, for a few words.
const Gap = "still-gap"

// Write answers with the page, which has value in place of the [Hole], and words in place of the [Gap].
func (s *Still[T]) Write(w http.ResponseWriter, r *http.Request, status int, value, words string) error {
	key := stillKey{Language(r), frameOf(r)}
	body, err := s.body(r, key)
	if err != nil {
		return err
	}
	body = bytes.ReplaceAll(body, []byte(Gap), []byte(html.EscapeString(words)))
	send(w, r, status, key.tag, ContentSecurityPolicy, bytes.ReplaceAll(body, []byte(Hole), []byte(url.QueryEscape(value))))
	return nil
}

func (s *Still[T]) body(r *http.Request, key stillKey) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if body := s.kept[key]; body != nil {
		return body, nil
	}
	var b bytes.Buffer
	f := key.frame
	f.Data = s.data(r)
	if err := s.page.render(&b, key.tag, f); err != nil {
		return nil, err
	}
	if len(s.kept) == maxStills {
		clear(s.kept)
	}
	s.kept[key] = b.Bytes()
	return s.kept[key], nil
}
