// Package kept holds in memory what was read of a store, or made of what was read: [Rows] for as long as nobody
// writes them, and in a [State] what was made of one state, with which it goes. So nothing in it can be stale. Its size
// is bounded.
package kept

import "sync"

const values = 1024

// State is what was made of one state; what comes when it is full is not kept. The zero value keeps nothing yet. It is
// safe for concurrent use; who takes something out changes nothing of it.
type State struct {
	mu     sync.RWMutex
	values map[any]any
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
