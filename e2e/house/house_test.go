package house_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/house"
)

func TestMain(m *testing.M) {
	http.DefaultTransport = house.Transport
	os.Exit(m.Run())
}

// fixed are the seeds that every run takes, beside one of its own: their first rounds are all different.
var fixed = []uint64{8, 9}

// share is how long faults go on for one seed by default, without start and audit.
const share = 14 * time.Second

// TestHouse runs the plans of some seeds under load and judges what clients saw.
func TestHouse(t *testing.T) {
	table := &history.Table{Title: "fault, in process"}
	long := duration(t, "QUIS_FAULTS_FOR")
	switch one := os.Getenv("QUIS_SEED"); {
	case one != "":
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatalf("QUIS_SEED: %v", err)
		}
		run(t, table, seed, max(share, long))
	case long > 0:
		for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); {
			run(t, table, fresh(), min(time.Minute, time.Until(end)))
		}
	default:
		for _, seed := range append(fixed, fresh()) {
			run(t, table, seed, share)
		}
	}
	t.Logf("\n%s", table.Markdown())
	if path := os.Getenv("QUIS_FAULTS_JSON"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := table.WriteJSON(f); err != nil {
			t.Error(err)
		}
	}
}

func duration(t *testing.T, name string) time.Duration {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

func fresh() uint64 {
	var b [4]byte
	rand.Read(b[:])
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// run is one cluster under the plan of one seed for a while.
func run(t *testing.T, table *history.Table, seed uint64, lasts time.Duration) {
	t.Helper()
	began := time.Now()
	table.Seed(seed)
	defer func() {
		if t.Failed() {
			t.Logf("QUIS_SEED=%d go test -run TestHouse ./e2e/house reproduces it", seed)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), lasts+4*time.Minute)
	defer cancel()
	h, err := house.Open(ctx, t.TempDir(), seed, t.Logf)
	defer func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { h.Work(working) })
	opened := time.Since(began)
	rounds := 0
	for _, round := range house.Plan(seed, 1000) {
		if time.Since(began) > opened+lasts {
			break
		}
		from := h.Rec.Since()
		if err := h.Do(ctx, round); err != nil {
			t.Errorf("seed %d, round %d: %v: %v", seed, rounds, round, err)
			break
		}
		to := h.Rec.Since()
		t.Logf("round %d: %v: %v", rounds, round, (to - from).Round(time.Millisecond))
		row := history.Row{Fault: round.Name(), Rounds: 1}
		ops := h.Rec.Ops()
		row.Outage = history.Outage(ops, from, to)
		for _, o := range ops {
			if o.Return >= from && o.Call <= to {
				row.Operations++
			}
		}
		table.Add(row)
		rounds++
	}
	stop()
	clients.Wait()
	if t.Failed() {
		return
	}
	judged := time.Now()
	bad := h.Audit(ctx)
	for i, v := range bad {
		if i < 10 {
			t.Errorf("seed %d: %v", seed, v)
		}
	}
	if len(bad) > 0 {
		t.Errorf("seed %d: %d violations", seed, len(bad))
		table.Add(history.Row{Fault: "(found by the audit)", Violations: len(bad)})
	}
	if text := h.Idle(); text != "" {
		t.Errorf("seed %d: the test does not test: %s", seed, text)
	}
	t.Logf("seed %d: opened in %v, %d rounds, audit %v, all %v: %s", seed, opened.Round(time.Millisecond), rounds,
		time.Since(judged).Round(time.Millisecond), time.Since(began).Round(time.Millisecond), h.Sum())
}

// The same seed is the same plan, and every kind of fault is in it.
func TestPlan(t *testing.T) {
	t.Parallel()
	a, b := house.Plan(7, 60), house.Plan(7, 60)
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed, two plans")
	}
	if reflect.DeepEqual(a, house.Plan(8, 60)) {
		t.Error("two seeds, one plan")
	}
	if !reflect.DeepEqual(a[:10], house.Plan(7, 10)) {
		t.Error("a longer plan begins otherwise")
	}
	names := map[string]bool{}
	for _, r := range a {
		names[r.Name()] = true
	}
	if len(names) != 18 {
		t.Errorf("%d kinds of fault in 60 rounds: %v", len(names), names)
	}
}
