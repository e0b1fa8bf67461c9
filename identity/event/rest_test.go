package event

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A follower of a busy log rests, and ends while it does.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		began := time.Now()
		if err := errors.Join(rest(ctx, -1), rest(ctx, followRest)); err != nil || time.Since(began) != followRest {
			t.Errorf("it rested for %v: %v", time.Since(began), err)
		}
		end()
		if err := rest(ctx, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("ended while it rested: %v", err)
		}
	})
}
