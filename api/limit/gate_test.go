package limit

import (
	"context"
	"errors"
	"testing"

	"github.com/quis-idp/quis/identity"
)

func TestGateIsBounded(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	leave, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := g.Enter(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody who has left: %v", err)
	}
	leave()
	leave()
	if leave, err = g.Enter(t.Context()); err != nil {
		t.Fatalf("the room that was left: %v", err)
	}
	defer leave()
	g.waiting.Store(maxWaiting)
	if _, err := g.Enter(t.Context()); !errors.Is(err, identity.ErrLimited) {
		t.Errorf("one more than can wait: %v", err)
	}
	if n := g.Waiting(); n != maxWaiting {
		t.Errorf("%d wait", n)
	}
}
