package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// groupsPer and membersOf shape the directory: a group for every tenth user, twenty
// members in each, so everybody is in two.
const (
	groupsPer = 10
	membersOf = 20
)

// scale lets one node grow and measures it at every size: what it needs, how soon it
// is back, and whether people notice. At the last size two more nodes join from
// nothing, and the three are measured together.
func scale(ctx context.Context, o options) (figures []figure, err error) {
	h, err := newHouse(1, bootstrap)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.remove()) }()
	if _, err := h.start(ctx); err != nil {
		return nil, err
	}
	empty, err := h.speed(ctx, o.duration)
	if err != nil {
		return nil, err
	}
	size := 0
	at := func(name string, value float64, unit, goal, note string) {
		figures = append(figures, figure{Name: fmt.Sprintf("%s, %s", name, short(size)), Value: value, Unit: unit, Goal: goal, Note: note})
	}
	for _, next := range o.sizes {
		order := order{Users: next - size, Groups: (next - size) / groupsPer, Members: membersOf, Sessions: (next - size) * o.sessions, FirstUser: size}
		if err := h.stop(); err != nil {
			return figures, err
		}
		f, err := h.grow(ctx, next, order)
		if err != nil {
			return figures, err
		}
		size = next
		at("import", float64(order.rows())/f.Took.Seconds(), "rows/s", "", fmt.Sprintf("one node; %s users, %s groups of %d, %s sessions in all; this step in %s",
			short(size), short(size/groupsPer), membersOf, short(size*o.sessions), f.Took.Round(time.Second)))
		if err := h.measure(ctx, o, empty, at); err != nil {
			return figures, err
		}
	}
	return figures, h.three(ctx, o, empty, at)
}

// three makes the house one of three nodes and measures what only those can show.
func (h *house) three(ctx context.Context, o options, empty pace, at func(name string, value float64, unit, goal, note string)) error {
	for i := 2; i <= 3; i++ {
		took, err := h.joined(ctx)
		if err != nil {
			return err
		}
		at(fmt.Sprintf("node %d joins from nothing", i), took.Seconds(), "s", "", "until it is ready, with everything")
	}
	if err := h.stop(); err != nil {
		return err
	}
	f, err := h.grow(ctx, 0, order{WritesFor: 12 * o.duration})
	if err != nil {
		return err
	}
	if f.During.Writes > 0 {
		at("three nodes: write p99 while the store is made durable", ms(f.During.P99), "ms", "< 2×", fmt.Sprintf("%.1f ms at other times; %d and %d writes", ms(f.Else.P99), f.During.Writes, f.Else.Writes))
	}
	return h.measure(ctx, o, empty, func(name string, value float64, unit, goal, note string) {
		at("three nodes: "+name, value, unit, goal, note)
	})
}

// grow fills the house, with a bar on standard error.
func (h *house) grow(ctx context.Context, size int, o order) (filled, error) {
	began := time.Now()
	f, err := h.fill(ctx, o, func(done, total int) {
		width := 30 * done / max(total, 1)
		fmt.Fprintf(os.Stderr, "\r  to %s users [%s%s] %d of %d rows, %.0f/s ", short(size), strings.Repeat("=", width), strings.Repeat(" ", 30-width),
			done, total, float64(done)/time.Since(began).Seconds())
	})
	fmt.Fprintln(os.Stderr)
	return f, err
}

// measure restarts the house and looks at it.
func (h *house) measure(ctx context.Context, o options, empty pace, at func(name string, value float64, unit, goal, note string)) error {
	took, err := h.start(ctx)
	if err != nil {
		return err
	}
	at("start to ready", took.Seconds(), "s", "< 5", "after an orderly stop; of several the slowest")
	if err := h.signal(syscall.SIGKILL); err != nil {
		return err
	}
	if took, err = h.start(ctx); err != nil {
		return err
	}
	at("start to ready after SIGKILL", took.Seconds(), "s", "< 5", "")
	now, err := h.speed(ctx, o.duration)
	if err != nil {
		return err
	}
	at("sign-in", ms(now.signIn), "ms", "≤ +20 %", fmt.Sprintf("median; %.1f ms in an empty store of one", ms(empty.signIn)))
	at("code exchange", ms(now.exchange), "ms CPU", "≤ +20 %", fmt.Sprintf("of all nodes; %.2f ms in an empty store of one", ms(empty.exchange)))
	reader := h.nodes[len(h.nodes)-1]
	for _, l := range []struct{ name, path string }{
		{"list users", "/api/v1/users?limit=50"},
		{"search users", "/api/v1/users?limit=50&search=person0000"},
		{"find a user", "/api/v1/users?search=person00000042@example.com"},
		{"list groups", "/api/v1/groups?limit=50"},
	} {
		p50, p99, err := look(ctx, reader.public+l.path)
		if err != nil {
			return err
		}
		at("admin API: "+l.name, ms(p99), "ms", "< 50", fmt.Sprintf("p99; p50 %.1f ms", ms(p50)))
	}
	mib, err := h.memory()
	if err != nil {
		return err
	}
	at("memory of a node", mib, "MiB", "< 1024", "the largest, after that")
	return nil
}

// A pace is how quick people and applications find a cluster.
type pace struct {
	signIn   time.Duration // median
	exchange time.Duration // processor time of all nodes
}

func (h *house) speed(ctx context.Context, d time.Duration) (pace, error) {
	var p pace
	l, err := drive(ctx, []int{h.nodes[0].cmd.Process.Pid}, 1, d, func(ctx context.Context, _ int) error {
		_, err := testbed.NewPerson("tester", "correct horse battery").Authorize(ctx, h.nodes[0].public, web)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("sign in: %w", err)
	}
	p.signIn = l.p50
	codes, err := collectCodes(ctx, h.nodes[0].public, 1500)
	if err != nil {
		return p, err
	}
	before, err := h.cpu()
	if err != nil {
		return p, err
	}
	next := make(chan *testbed.Authorization, len(codes))
	for _, c := range codes {
		next <- c
	}
	close(next)
	if _, err := drive(ctx, []int{h.nodes[0].cmd.Process.Pid}, 8, time.Minute, func(ctx context.Context, _ int) error {
		c, ok := <-next
		if !ok {
			return errDone
		}
		_, err := web.Exchange(ctx, h.nodes[0].public, c)
		return err
	}); err != nil {
		return p, fmt.Errorf("exchange: %w", err)
	}
	after, err := h.cpu()
	p.exchange = (after - before) / time.Duration(len(codes))
	return p, err
}

func (h *house) cpu() (sum time.Duration, err error) {
	for _, n := range h.nodes {
		t, err := cpuTime(n.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// look asks the admin API the same thing again and again.
func look(ctx context.Context, url string) (p50, p99 time.Duration, err error) {
	var took []time.Duration
	for range 200 {
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, 0, err
		}
		req.Header.Set("Authorization", "Bearer "+adminKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, 0, err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return 0, 0, errors.Join(err, fmt.Errorf("%s: status %d: %.300s", url, resp.StatusCode, body))
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// joined lets a node without data join and waits until it is ready.
func (h *house) joined(ctx context.Context) (time.Duration, error) {
	n, err := h.add(0)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := h.startNode(n); err != nil {
		return 0, err
	}
	err = n.waitReady(ctx)
	return time.Since(began), err
}

// short writes 1000000 as 1 M.
func short(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return strings.TrimSuffix(strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64), ".0") + " M"
	case n >= 1000 && n%1000 == 0:
		return strconv.Itoa(n/1000) + " k"
	}
	return strconv.Itoa(n)
}

// parseSizes reads "10000,100000", which must grow.
func parseSizes(s string) ([]int, error) {
	var sizes []int
	for word := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < groupsPer || len(sizes) > 0 && n <= sizes[len(sizes)-1] {
			return nil, fmt.Errorf("-sizes %q: use growing numbers of users from %d on", s, groupsPer)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}
