package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Whoever knows a token, which may have been used, revoked or expired long ago, cannot take
// the port's connections away from the members.
func TestHolderOfATokenCannotFillThePort(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	p, pass := tokenPort(t, s, "a")
	b := s.port("b")
	begun, held := time.Now(), 0
	for range 4 * maxVisits {
		c, err := DialToken(t.Context(), p.Advertise(), pass)
		if err != nil {
			if !errors.Is(err, ErrTokenLimited) {
				t.Fatal(err)
			}
			continue
		}
		defer c.Close()
		held++
	}
	if most := maxVisits + 1 + int(time.Since(begun)/visitFades); held > most || held < maxVisits {
		t.Errorf("%d connections were let in, at most %d should be", held, most)
	}
	var got string
	if err := b.Caller().Call(t.Context(), "a", p.Advertise(), "echo", "x", &got); err != nil || got != "b:x" {
		t.Errorf("a member's call: %q, %v", got, err)
	}
	var k strikes
	now := time.Now()
	for range maxVisits {
		if !k.visit("one", now) {
			t.Fatal("held back too early")
		}
	}
	if k.visit("one", now) || !k.visit("other", now) || !k.visit("one", now.Add(2*visitFades)) {
		t.Error("the wrong ones are held back")
	}
	if k.visit("third", now.Add(time.Hour)); len(k.held) != 1 {
		t.Errorf("%d tokens are remembered", len(k.held))
	}
}

// A visitor sends what a node that joins has to send, and not what a member may.
func TestHolderOfATokenSendsLittle(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	p, pass := tokenPort(t, s, "a")
	for size, want := range map[int]bool{maxVisitFrame / 2: true, 2 * maxVisitFrame: false} {
		c, err := DialToken(t.Context(), p.Advertise(), pass)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var got string
		if err := c.Call(t.Context(), "enter", strings.Repeat("x", size), &got); (err == nil) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
