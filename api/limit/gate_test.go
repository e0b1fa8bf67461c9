package limit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateIsBounded(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	leave, err := g.Enter(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := g.Enter(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody who has left: %v", err)
	}
	leave()
	leave()
	if leave, err = g.Enter(t.Context(), "a"); err != nil {
		t.Fatalf("the room that was left: %v", err)
	}
	defer leave()
	for i := range maxFrom {
		g.line("a", 1)
		g.line(fmt.Sprint("b", i), 1)
	}
	if _, err := g.Enter(t.Context(), "a"); !errors.Is(err, ErrFull) {
		t.Errorf("one more than can wait of a network: %v", err)
	}
	if _, err := g.Enter(gone, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("another network: %v", err)
	}
	for i := range maxWaiting - 2*maxFrom {
		g.line(fmt.Sprint("d", i), 1)
	}
	if _, err := g.Enter(t.Context(), "c"); !errors.Is(err, ErrFull) {
		t.Errorf("one more than can wait: %v", err)
	}
	for range maxFrom {
		g.line("a", -1)
	}
	if _, there := g.from["a"]; there {
		t.Error("a network of which nobody waits is remembered")
	}
	if len(g.room) != 1 {
		t.Errorf("%d are inside", len(g.room))
	}
	if n := g.Waiting(); n != maxWaiting-maxFrom {
		t.Errorf("%d wait", n)
	}
}

// Others find the processors free between two strangers, and a stranger behind whom nobody waits holds nobody up.
func TestGatePausesBetweenTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for held, pause := range map[time.Duration]time.Duration{
			0: shortestPause, 300 * time.Microsecond: 300 * time.Microsecond, time.Minute: longestPause,
		} {
			g := NewGate(1)
			leave, err := g.Enter(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			let := make(chan time.Time)
			go func() {
				leave, err := g.Enter(t.Context(), "a")
				if err != nil {
					t.Error(err)
				}
				let <- time.Now()
				leave()
			}()
			synctest.Wait()
			time.Sleep(held)
			left := time.Now()
			leave()
			if d := (<-let).Sub(left); d != pause {
				t.Errorf("after %v the next waited %v, not %v", held, d, pause)
			}
			if synctest.Wait(); len(g.room) != 0 {
				t.Errorf("nobody waits, and the gate is shut")
			}
		}
	})
}

// slow is somebody who does not take their answer: it fails if they are waited for in the gate.
type slow struct {
	http.ResponseWriter
	g *Gate
	t *testing.T
}

func (s slow) look() {
	s.t.Helper()
	if len(s.g.room) != 0 {
		s.t.Error("others wait until the answer is taken")
	}
}

func (s slow) WriteHeader(int)             { s.look() }
func (s slow) Write(b []byte) (int, error) { s.look(); return len(b), nil }

func TestAnswersAreSentOutsideTheGate(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"a status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
		"a wait":   func(w http.ResponseWriter) { Leave(w) },
		"a body":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "wait") },
	} {
		g := NewGate(1)
		leave, err := g.Enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		w := Leaving(slow{rec, g, t}, leave)
		if answer(w); len(g.room) != 0 {
			t.Errorf("%s: the gate was not left", name)
		}
	}
}
