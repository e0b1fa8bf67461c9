package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

const bootstrapForm = `
users:
  - {username: tester, email: tester@example.com, name: Test User, password: "correct horse battery", admin: true}
%sapplications:
  - name: web
    type: oidc
    client_id: web
    client_secret: "0123456789abcdef0123456789abcdef-web"
    redirect_uris: ["http://localhost:9999/cb"]
    grant_types: [authorization_code, refresh_token, client_credentials]
    allowed_scopes: [openid, profile, email, offline_access]
tokens:
  - {user: tester, token: "` + adminKey + `"}
`

const crowd = 8 // people who sign in at the same time

func member(i int) string { return fmt.Sprintf("member%d", i) }

var bootstrap = func() string {
	var people strings.Builder
	for i := range crowd {
		fmt.Fprintf(&people, "  - {username: %s, email: %[1]s@example.com, name: Member, password: \"correct horse battery\"}\n", member(i))
	}
	return fmt.Sprintf(bootstrapForm, people.String())
}()

const adminKey = "quis_pat_0123456789abcdef0123456789abcdef"

var web = testbed.Application{ClientID: "web", Secret: "0123456789abcdef0123456789abcdef-web",
	RedirectURI: "http://localhost:9999/cb", Scope: "openid profile email offline_access"}

// withDev runs f against a `quis dev` of n nodes.
func withDev(ctx context.Context, n int, f func(d *testbed.Dev) error) error {
	dir, err := os.MkdirTemp("", "quis-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bootstrap.yaml")
	if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
		return err
	}
	d, err := testbed.Start(ctx, n, filepath.Join(dir, "data"), file)
	if err != nil {
		return err
	}
	return errors.Join(f(d), d.Stop())
}

// A load is what one run of concurrent callers did.
type load struct {
	calls   int
	elapsed time.Duration
	cpu     time.Duration // of the server process
	p50     time.Duration
	p99     time.Duration
	times   []time.Duration // of paced: each call's
}

func (l load) perSecond() float64 { return float64(l.calls) / l.elapsed.Seconds() }
func (l load) perCore() float64   { return float64(l.calls) / l.cpu.Seconds() }

// drive lets workers call for the given time and takes the servers' CPU time by
// their process IDs. A worker ends when call reports errDone; other errors end the run.
func drive(ctx context.Context, pids []int, workers int, d time.Duration, call func(ctx context.Context, worker int) error) (load, error) {
	before, err := cpuTimes(pids)
	if err != nil {
		return load{}, err
	}
	start := time.Now()
	times := make([][]time.Duration, workers)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				at := time.Now()
				if errs[w] = call(ctx, w); errs[w] != nil {
					return
				}
				times[w] = append(times[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	l := load{elapsed: time.Since(start)}
	after, err := cpuTimes(pids)
	if err != nil {
		return l, err
	}
	l.cpu = after - before
	l.percentiles(times)
	for _, err := range errs {
		if err != nil && !errors.Is(err, errDone) {
			return l, err
		}
	}
	if l.calls == 0 {
		return l, fmt.Errorf("no call succeeded")
	}
	return l, nil
}

func (l *load) percentiles(times [][]time.Duration) {
	all := slices.Concat(times...)
	slices.Sort(all)
	if l.calls = len(all); l.calls > 0 {
		l.p50, l.p99 = all[l.calls/2], all[l.calls*99/100]
	}
}

// add makes l what both did together.
func (l *load) add(m load) {
	times := slices.Concat(l.times, m.times)
	*l = load{elapsed: l.elapsed + m.elapsed, cpu: l.cpu + m.cpu, times: times}
	l.percentiles([][]time.Duration{times})
}

var errDone = errors.New("nothing left to do")

func cpuTimes(pids []int) (total time.Duration, err error) {
	for _, pid := range pids {
		t, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		total += t
	}
	return total, nil
}

// cpuTime returns the user and system time that a process has used, from /proc.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// residentMemory returns a process's resident set in MiB.
func residentMemory(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}
