package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/quis-idp/quis/e2e/testbed"
)

const callers = 32

// oneCore makes the servers started from here use one core.
func oneCore() (restore func()) {
	before, had := os.LookupEnv("GOMAXPROCS")
	os.Setenv("GOMAXPROCS", "1")
	return func() {
		if had {
			os.Setenv("GOMAXPROCS", before)
		} else {
			os.Unsetenv("GOMAXPROCS")
		}
	}
}

func rate(name string, l load, goal string) figure {
	return figure{Name: name, Value: l.perCore(), Unit: "/s per core", Goal: goal,
		Note: fmt.Sprintf("%.0f/s with %d callers, p50 %.1f ms, p99 %.1f ms", l.perSecond(), callers, ms(l.p50), ms(l.p99))}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// collectCodes lets a person with a session authorize again and again: no log entry each.
func collectCodes(ctx context.Context, node string, n int) ([]*testbed.Authorization, error) {
	codes := make([]*testbed.Authorization, n)
	errs := make([]error, 8)
	p := testbed.NewPerson("tester", "correct horse battery")
	if _, err := p.Authorize(ctx, node, web); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n; i += len(errs) {
				if codes[i], errs[w] = p.Authorize(ctx, node, web); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// signInRate measures whole sign-ins with a password: pages, hash, session.
func signInRate(ctx context.Context, o options) (figures []figure, err error) {
	defer oneCore()()
	err = withDev(ctx, 1, func(d *testbed.Dev) error {
		pid, err := d.PID(1)
		if err != nil {
			return err
		}
		l, err := drive(ctx, []int{pid}, 4, o.duration, func(ctx context.Context, _ int) error {
			_, err := testbed.NewPerson("tester", "correct horse battery").Authorize(ctx, d.Public(1), web)
			return err
		})
		if err != nil {
			return err
		}
		bound, err := hashRate(o.duration / 2)
		if err != nil {
			return err
		}
		figures = append(figures, figure{Name: "password sign-in", Value: l.perCore(), Unit: "/s per core", Goal: "≥ 36",
			Note: fmt.Sprintf("%.1f/s with 4 people, p50 %.0f ms; %.0f%% of what the hash alone allows (%.1f/s)",
				l.perSecond(), ms(l.p50), 100*l.perCore()/bound, bound)})
		return nil
	})
	return figures, err
}

// hashRate is how many password hashes with the default parameters a core does in a
// second of its time: the ceiling of signing in with a password on this machine, now.
func hashRate(d time.Duration) (float64, error) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	n := 0
	for start := time.Now(); time.Since(start) < d; n++ {
		argon2.IDKey([]byte("correct horse battery"), []byte("sixteen bytes of"), 2, 19<<10, 1, 32)
	}
	after, err := cpuTime(os.Getpid())
	return float64(n) / (after - before).Seconds(), err
}

// startToReady measures the time from exec to a 200 of /readyz: empty, then with data.
func startToReady(ctx context.Context, _ options) ([]figure, error) {
	var fresh []time.Duration
	for range 5 {
		err := withDev(ctx, 1, func(d *testbed.Dev) error {
			fresh = append(fresh, d.ReadyAfter)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(fresh)
	return []figure{{Name: "start to ready", Value: fresh[len(fresh)/2].Seconds(), Unit: "s", Goal: "≤ 0.5",
		Note: fmt.Sprintf("fresh single node, median of %d, worst %.2f s", len(fresh), fresh[len(fresh)-1].Seconds())}}, nil
}

// idleMemory measures the resident memory of three nodes that have nothing to do.
func idleMemory(ctx context.Context, _ options) (figures []figure, err error) {
	err = withDev(ctx, 3, func(d *testbed.Dev) error {
		if _, err := testbed.NewPerson("tester", "correct horse battery").Authorize(ctx, d.Public(1), web); err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Second): // long enough for the garbage of the start to be returned
		case <-ctx.Done():
			return ctx.Err()
		}
		worst := 0.0
		for i := 1; i <= 3; i++ {
			pid, err := d.PID(i)
			if err != nil {
				return err
			}
			rss, err := residentMemory(pid)
			if err != nil {
				return err
			}
			worst = max(worst, rss)
		}
		figures = append(figures, figure{Name: "idle memory of a node", Value: worst, Unit: "MiB", Goal: "≤ 80",
			Note: "largest of three, 20 s after one sign-in"})
		return nil
	})
	return figures, err
}
