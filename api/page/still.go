package page

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/quis-idp/quis/identity/language"
)

// A Still is a page that shows nothing of whoever reads it, and keeps what was written: for those
// on whom nothing may be spent. Its language cannot be changed on it.
type Still struct {
	page *Template[struct{}]

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

// StillOf is a Still that is written as p.
func StillOf(p *Template[struct{}]) *Still { return &Still{page: p, kept: map[stillKey][]byte{}} }

// Keys are the texts of the page.
func (s *Still) Keys() []string { return s.page.Keys() }

// Write answers with the page.
func (s *Still) Write(w http.ResponseWriter, r *http.Request, status int) error {
	key := stillKey{Language(r), frameOf(r)}
	body, err := s.body(key)
	if err != nil {
		return err
	}
	send(w, r, status, key.tag, ContentSecurityPolicy, body)
	return nil
}

func (s *Still) body(key stillKey) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if body := s.kept[key]; body != nil {
		return body, nil
	}
	var b bytes.Buffer
	if err := s.page.render(&b, key.tag, key.frame); err != nil {
		return nil, err
	}
	if len(s.kept) == maxStills {
		clear(s.kept)
	}
	s.kept[key] = b.Bytes()
	return s.kept[key], nil
}
