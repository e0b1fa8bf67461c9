package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// recovery is how long the cluster may take from the leader's death to the next write.
const recovery = 1500 * time.Millisecond

// TestLeaderKills kills the leader again and again while people sign in and
// applications refresh, every code and every refresh token raced on two nodes.
// Nothing that was answered may be lost, nothing single-use may be used twice,
// and the killed node must come back by itself once started.
func TestLeaderKills(t *testing.T) {
	kills := 3
	if s := os.Getenv("QUIS_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatalf("QUIS_KILLS: %v", err)
		}
	}
	d := testbed.Run(t, 3, bootstrap)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &workload{t: t, d: d}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() { w.run(ctx, i) })
	}
	var gaps []time.Duration
	for range kills {
		gap, err := w.killLeader(ctx)
		if err != nil {
			t.Error(err)
			break
		}
		gaps = append(gaps, gap)
	}
	cancel()
	wg.Wait()
	w.audit(t.Context())
	if len(gaps) == 0 {
		return
	}
	slices.Sort(gaps)
	worst, late := gaps[len(gaps)-1], 0
	for _, g := range gaps {
		if g > recovery {
			late++
		}
	}
	t.Logf("%d leaders killed; next write after median %v, worst %v; %d sign-ins and %d raced refreshes answered, %d codes raced",
		len(gaps), gaps[len(gaps)/2].Round(time.Millisecond), worst.Round(time.Millisecond), w.signins, w.refreshes, w.races)
	if late > 0 {
		t.Errorf("%d of %d recoveries took longer than %v: %v", late, len(gaps), recovery, gaps)
	}
}

// A workload signs people in and refreshes, and remembers what it was answered.
type workload struct {
	t *testing.T
	d *testbed.Dev

	mu                 sync.Mutex
	signins, refreshes int         // answered
	races              int         // codes redeemed on two nodes at once
	live               []string    // the latest refresh token of each family
	writes             []time.Time // when each successful write was asked for, in order of answer
	wrote              []time.Time // when it was answered
}

// run is one client: sign in, then refresh a while, and again.
func (w *workload) run(ctx context.Context, seed int) {
	for n := seed; ctx.Err() == nil; n++ {
		a, err := tester().Authorize(ctx, w.d.Public(1+n%3), web)
		if err != nil {
			continue
		}
		if n%2 == 0 { // its family may rightly be revoked, so nothing is built on it
			w.raceCode(ctx, a, n)
			continue
		}
		started := time.Now()
		tokens, err := web.Exchange(ctx, w.d.Public(1+n%3), a)
		if err != nil {
			continue
		}
		w.count(&w.signins, started)
		token := tokens.RefreshToken
		for range 5 {
			next, lost := w.raceRefresh(ctx, token, n)
			if lost { // no answer: the old token and its unseen successor are one, by design
				continue
			}
			token = next
		}
		w.mu.Lock()
		w.live = append(w.live, token)
		w.mu.Unlock()
	}
}

// raceCode redeems one code on two nodes at once: at most one may succeed.
func (w *workload) raceCode(ctx context.Context, a *testbed.Authorization, n int) {
	var got [2]*testbed.Tokens
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			if tokens, err := web.Exchange(ctx, w.d.Public(1+(n+i)%3), a); err == nil {
				got[i] = tokens
			}
		})
	}
	wg.Wait()
	if got[0] != nil && got[1] != nil {
		w.t.Error("one code was redeemed on two nodes")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.races++
}

// raceRefresh refreshes one token on two nodes at once: all answers must name one successor.
func (w *workload) raceRefresh(ctx context.Context, token string, n int) (next string, lost bool) {
	var got [2]string
	var errs [2]error
	var wg sync.WaitGroup
	start := time.Now()
	for i := range got {
		wg.Go(func() {
			tokens, err := web.Refresh(ctx, w.d.Public(1+(n+i)%3), token)
			if errs[i] = err; err == nil {
				got[i] = tokens.RefreshToken
			}
		})
	}
	wg.Wait()
	if got[0] != "" && got[1] != "" && got[0] != got[1] {
		w.t.Error("one refresh token has two successors")
	}
	for i, s := range got {
		if code, oauth := status(errs[i]); code == 400 {
			w.t.Errorf("a live refresh token was refused: %d %s", code, oauth)
		}
		if s != "" {
			w.count(&w.refreshes, start)
			return s, false
		}
	}
	return "", true
}

func (w *workload) count(n *int, started time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
	w.writes = append(w.writes, started)
	w.wrote = append(w.wrote, time.Now())
}

// killLeader kills the leader, waits for the next successful write that was asked
// for after the kill, starts the node again and waits until it is ready.
func (w *workload) killLeader(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	leader, err := w.d.WaitLeader(ctx, 0)
	if err != nil {
		return 0, err
	}
	if err := w.d.Kill(ctx, leader); err != nil {
		return 0, err
	}
	killed := time.Now()
	w.mu.Lock()
	from := len(w.writes)
	w.mu.Unlock()
	var gap time.Duration
	for gap == 0 {
		w.mu.Lock()
		for i := from; i < len(w.writes) && gap == 0; i++ {
			if w.wrote[i].After(killed) && w.writes[i].After(killed) {
				gap = w.wrote[i].Sub(killed)
			}
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no write after the death of node %d: %w", leader, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
	if err := w.d.Restart(ctx, leader); err != nil {
		return 0, err
	}
	return gap, w.d.WaitReady(ctx, leader)
}

// audit redeems the last token that every family was answered: none may be lost.
func (w *workload) audit(ctx context.Context) {
	lost := 0
	for i, token := range w.live {
		if _, err := web.Refresh(ctx, w.d.Public(1+i%3), token); err != nil {
			if lost++; lost <= 3 {
				w.t.Errorf("the answered token of family %d is lost: %v", i, err)
			}
		}
	}
	if lost > 3 {
		w.t.Errorf("%d of %d answered tokens are lost", lost, len(w.live))
	}
}
