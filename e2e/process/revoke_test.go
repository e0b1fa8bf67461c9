package process

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/testbed"
)

// staleness is how old the state may be that a node answers from (the default of
// the setting of this name), and the time of one look at it.
const staleness = 600 * time.Millisecond

// until returns how long it took for done to hold, at most twice the staleness.
func until(ctx context.Context, done func() bool) time.Duration {
	start := time.Now()
	for !done() && time.Since(start) < 2*staleness && ctx.Err() == nil {
	}
	return time.Since(start)
}

// TestTakingAccessAway: what an administrator takes away is gone on every node within
// the staleness bound, and only that: the person signs in anew, with new keys and a new password.
func TestTakingAccessAway(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	ctx := t.Context()
	admin, err := client.New(d.Public(2), "quis_pat_0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	password := "correct horse battery"
	for _, act := range []struct {
		name string
		do   func() error
	}{
		{"emergency rotation", func() error {
			_, err := admin.RotateKeys(ctx, "ES256", true)
			return err
		}},
		{"new password", func() error {
			u, err := admin.Users.Find(ctx, "tester")
			if err != nil {
				return err
			}
			password = "battery staple horse"
			return admin.Users.SetPassword(ctx, u.ID, password)
		}},
	} {
		p := testbed.NewPerson("tester", password)
		a, err := p.Authorize(ctx, d.Public(1), web)
		if err != nil {
			t.Fatalf("before %s: %v", act.name, err)
		}
		tokens, err := web.Exchange(ctx, d.Public(1), a)
		if err != nil {
			t.Fatalf("before %s: %v", act.name, err)
		}
		if _, err := testbed.UserInfo(ctx, d.Public(3), tokens.AccessToken); err != nil {
			t.Fatalf("before %s: %v", act.name, err)
		}
		if err := act.do(); err != nil {
			t.Fatalf("%s: %v", act.name, err)
		}
		for i := 1; i <= 3; i++ {
			took := until(ctx, func() bool {
				_, err := testbed.UserInfo(ctx, d.Public(i), tokens.AccessToken)
				return err != nil
			})
			if took > staleness {
				t.Errorf("after %s node %d took the access token for %v", act.name, i, took)
			}
			if _, err := web.Refresh(ctx, d.Public(i), tokens.RefreshToken); err == nil {
				t.Errorf("after %s node %d still refreshes", act.name, i)
			}
		}
	}
	if _, err := testbed.NewPerson("tester", password).Authorize(ctx, d.Public(3), web); err != nil {
		t.Errorf("signing in anew: %v", err)
	}
	if v, err := admin.VerifyAudit(ctx); err != nil || !v.Intact {
		t.Errorf("audit record: %+v, %v", v, err)
	}
}

// TestRevocationIsSeenEverywhere (invariants 10 and 12): two hundred families are
// revoked, each at one node, and from the answer on every node is asked until it
// refuses the access token. None takes it for longer than the bound.
func TestRevocationIsSeenEverywhere(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	ctx := t.Context()
	p := tester()
	var took []time.Duration
	for round := range 200 {
		a, err := p.Authorize(ctx, d.Public(1+round%3), web)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		tokens, err := web.Exchange(ctx, d.Public(1+round%3), a)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		at := 1 + (round+1)%3
		if err := revokeAt(ctx, d.Public(at), tokens.RefreshToken); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		answered := time.Now()
		seen := make([]time.Duration, 3)
		var all sync.WaitGroup
		for i := range seen {
			all.Go(func() {
				until(ctx, func() bool {
					_, err := testbed.UserInfo(ctx, d.Public(1+i), tokens.AccessToken)
					return err != nil
				})
				seen[i] = time.Since(answered)
			})
		}
		all.Wait()
		took = append(took, seen...)
	}
	slices.Sort(took)
	n := len(took)
	t.Logf("refused on every node after a revocation: p50 %v, p99 %v, worst %v (%d looks)",
		took[n/2].Round(time.Millisecond), took[n*99/100].Round(time.Millisecond), took[n-1].Round(time.Millisecond), n)
	if took[n-1] > staleness {
		t.Errorf("a node took a revoked token for %v, at most %v", took[n-1], staleness)
	}
}
