package desk

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quis-idp/quis/identity/credential/certificate"
)

// However many ask about a certificate at once, and however often, its authority hears of it once in five
// seconds, whatever it says; what is no answer is nobody's.
func TestOneQuestionAtATime(t *testing.T) {
	t.Parallel()
	refused := &certificate.Refused{Reason: certificate.Revoked}
	for name, c := range map[string]struct {
		says        error
		first, then int // questions of ten at once, and of ten more
	}{
		"good":      {nil, 1, 1},
		"refused":   {refused, 1, 1},
		"no answer": {errors.New("no leader"), 10, 20},
	} {
		synctest.Test(t, func(t *testing.T) {
			var r recent
			var mu sync.Mutex
			questions := 0
			all := func(w which) {
				t.Helper()
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						err := r.once(t.Context(), w, time.Now, func() error {
							mu.Lock()
							questions++
							mu.Unlock()
							time.Sleep(10 * time.Millisecond) // synthetic
							return c.says
						})
						if !errors.Is(err, c.says) {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
				wg.Wait()
			}
			mine := which{print: "mine"}
			all(mine)
			if questions != c.first {
				t.Errorf("%s: asked %d times", name, questions)
			}
			time.Sleep(justNow - time.Millisecond)
			all(mine)
			if questions != c.then {
				t.Errorf("%s: asked %d times, just after", name, questions)
			}
			time.Sleep(justNow)
			all(mine)
			all(which{tenant: "another", print: "mine"})
			if want := c.then + 2*c.first; questions != want {
				t.Errorf("%s: asked %d times, later and of another tenant, want %d", name, questions, want)
			}
		})
	}
}

// Who waits for another's answer does so no longer than they want; what is remembered is bounded, and
// what finds no room is asked about all the same.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recent
		asking := make(chan struct{})
		slow := which{print: "slow"}
		go func() { _ = r.once(t.Context(), slow, time.Now, func() error { <-asking; return nil }) }()
		synctest.Wait()
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.once(impatient, slow, time.Now, func() error { t.Error("asked twice"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(asking)
		for round := range 2 {
			questions := 0
			for i := range maxRecent + 10 {
				_ = r.once(t.Context(), which{print: strconv.Itoa(round) + " " + strconv.Itoa(i)}, time.Now, func() error { questions++; return nil })
			}
			if questions != maxRecent+10 || len(r.asked) != maxRecent {
				t.Errorf("%d questions, of which %d are remembered", questions, len(r.asked))
			}
			time.Sleep(justNow)
		}
	})
}
