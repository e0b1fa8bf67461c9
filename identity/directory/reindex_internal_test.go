package directory

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What goes through a big directory takes half of the time at most, whatever a part takes, and ends with its context.
func TestPartsArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var begun []time.Duration
		start := time.Now()
		parts := []time.Duration{time.Second, 3 * time.Second, 0, time.Minute}
		part := func() (bool, error) {
			begun = append(begun, time.Since(start))
			time.Sleep(parts[len(begun)-1]) // synthetic
			return len(begun) < len(parts), nil
		}
		if err := paced(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{0, 2 * time.Second, 8 * time.Second, 8 * time.Second} {
			if begun[i] != want {
				t.Errorf("part %d begins after %s, want %s", i, begun[i], want)
			}
		}
		if all := time.Since(start); all != 68*time.Second { // nothing comes after the last one to rest for
			t.Errorf("took %s", all)
		}
	})
}

func TestARestEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start, parts := time.Now(), 0
		time.AfterFunc(time.Hour+time.Second, cancel)
		err := paced(ctx, func() (bool, error) {
			parts++
			time.Sleep(time.Hour) // synthetic
			return true, nil
		})
		if !errors.Is(err, context.Canceled) || parts != 1 || time.Since(start) != time.Hour+time.Second {
			t.Errorf("%v after %d parts and %s", err, parts, time.Since(start))
		}
		fault := errors.New("fault")
		if err := paced(t.Context(), func() (bool, error) { return true, fault }); !errors.Is(err, fault) {
			t.Error(err)
		}
	})
}
