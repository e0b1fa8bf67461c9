// Package kept holds in memory what was read, or made, of one state of the store that never
// changes: so nothing in it can be stale, and it goes with the state. Its size is bounded;
// what comes when it is full is not kept.
package kept

import (
	"bytes"
	"sync"
)

const (
	room   = 1 << 20 // bytes of keys and rows: what is read again and again, an application or a key, is a few KiB
	values = 1024
)

// State is what is kept of one state. The zero value keeps nothing yet. It is safe for
// concurrent use; who takes something out changes nothing of it.
type State struct {
	mu     sync.RWMutex
	rows   map[string][]byte // nil: there is no such row
	used   int               // bytes of rows
	values map[any]any
}

// Row returns the row at key, nil if there is none, and whether that is known.
func (s *State) Row(key []byte) (row []byte, known bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	row, known = s.rows[string(key)]
	return row, known
}

// KeepRow keeps a copy of the row, nil for none, and returns it.
func (s *State) KeepRow(key, row []byte) []byte {
	row = bytes.Clone(row)
	s.mu.Lock()
	defer s.mu.Unlock()
	if need := len(key) + len(row); s.used+need <= room {
		if s.rows == nil {
			s.rows = map[string][]byte{}
		}
		s.rows[string(key)] = row
		s.used += need
	}
	return row
}

// Value returns what was kept under key, a value of the caller's own type, or nil.
func (s *State) Value(key any) any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.values[key]
}

// Keep keeps a value.
func (s *State) Keep(key, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[any]any{}
	}
	if len(s.values) < values {
		s.values[key] = value
	}
}
