package claim

import (
	"container/list"
	"sync"
)

// programs remembers compiled expressions by their text. What an expression means depends
// on its text alone, so nothing here can be stale, whichever revision of which application
// asks; and the node that has checked an expression has it ready when it issues.
var programs = remembered{at: map[string]*list.Element{}}

// A remembered is a bounded map from text to program that forgets what was not used for longest.
type remembered struct {
	mu   sync.Mutex
	at   map[string]*list.Element
	used list.List // of *entry, latest first
}

type entry struct {
	expression string
	program    *program
}

// compiled returns the program of an expression. Two who ask for a new one at once both
// compile it: that is rare, and holding the lock meanwhile would stop all others.
func compiled(expression string) *program {
	if p := programs.get(expression); p != nil {
		return p
	}
	p := compile(expression)
	programs.put(expression, p)
	return p
}

func (r *remembered) get(expression string) *program {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.at[expression]
	if !ok {
		return nil
	}
	r.used.MoveToFront(e)
	return e.Value.(*entry).program
}

func (r *remembered) put(expression string, p *program) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.at[expression]; ok {
		r.used.MoveToFront(e)
		return
	}
	r.at[expression] = r.used.PushFront(&entry{expression, p})
	if r.used.Len() > maxRemembers {
		last := r.used.Back()
		delete(r.at, r.used.Remove(last).(*entry).expression)
	}
}
