package fresh

import (
	"context"
	"sync"
	"testing"
	"time"
)

func TestSharedNeverGivesAnOlderAnswer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var now uint64
	rounds := 0
	b := &Shared{}
	gate := make(chan struct{}, 1000)
	b.Ask = func(context.Context) (uint64, error) {
		mu.Lock()
		v := now
		rounds++
		mu.Unlock()
		<-gate // answers take long: more may have happened since
		return v, nil
	}
	var all sync.WaitGroup
	const callers = 200
	for range callers {
		all.Go(func() {
			mu.Lock()
			now++
			mine := now
			mu.Unlock()
			got, err := b.Get(t.Context(), t.Context())
			if err != nil || got < mine {
				t.Errorf("answer %d, %v to a question after %d", got, err, mine)
			}
		})
		gate <- struct{}{}
	}
	all.Wait()
	if rounds > callers {
		t.Errorf("%d rounds for %d callers", rounds, callers)
	}
}

func TestMarkMovesOnOnly(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-time.Hour)
	m := NewMark(begun)
	if m.Known() || m.Age() < time.Hour {
		t.Errorf("before the first note: %v, %v", m.Known(), m.Age())
	}
	if !m.Note(begun.Add(30 * time.Minute)) {
		t.Error("the first note is not the first")
	}
	if m.Note(begun.Add(10*time.Minute)) || m.Note(begun.Add(40*time.Minute)) {
		t.Error("a later note passes for the first")
	}
	if age := m.Age(); !m.Known() || age < 20*time.Minute || age > 21*time.Minute {
		t.Errorf("age %v, want about 20 minutes", age)
	}
}
