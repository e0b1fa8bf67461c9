package duty

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

// stage is a Leader whose terms the test opens and closes.
type stage struct {
	mu   sync.Mutex
	term context.Context
	end  context.CancelFunc
	came chan struct{}
}

func newStage() *stage { return &stage{came: make(chan struct{})} }

func (s *stage) begin(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term, s.end = context.WithCancel(ctx)
	close(s.came)
	s.came = make(chan struct{})
}

func (s *stage) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

func (s *stage) Lead(ctx context.Context) (context.Context, error) {
	for {
		s.mu.Lock()
		term, came := s.term, s.came
		s.mu.Unlock()
		if term != nil && term.Err() == nil {
			return term, nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func run(ctx context.Context, l Leader, reg prometheus.Registerer, jobs ...Job) chan error {
	done := make(chan error, 1)
	go func() { done <- Run(ctx, l, jobs, slog.New(slog.DiscardHandler), reg) }()
	return done
}

func TestRunsAtOnceAndThenAtItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newStage()
		var at []time.Duration
		zero := time.Now()
		done := run(ctx, s, nil, Job{"j", time.Minute, func(context.Context) error {
			at = append(at, time.Since(zero))
			time.Sleep(10 * time.Second) // a run takes time and does not shift the next
			return nil
		}})
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(at) != 0 {
			t.Fatalf("ran without leading: %v", at)
		}
		s.begin(ctx)
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		s.stop()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(at) != 3 || at[1]-at[0] != time.Minute || at[2]-at[1] != time.Minute {
			t.Errorf("ran at %v", at)
		}
		s.begin(ctx)
		synctest.Wait()
		if len(at) != 4 {
			t.Errorf("did not run at once in the next term: %v", at)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestEndOfTermCancelsARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newStage()
		s.begin(ctx)
		reg := prometheus.NewRegistry()
		done := run(ctx, s, reg, Job{"slow", time.Minute, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			Job{"bad", time.Minute, func(context.Context) error { return errors.New("no") }},
			Job{"mad", time.Minute, func(context.Context) error { panic("no") }})
		synctest.Wait()
		s.stop()
		synctest.Wait()
		want := map[string]string{"slow": "cancelled", "bad": "error", "mad": "error"}
		families, err := reg.Gather()
		if err != nil || len(families) != 3 || families[2].GetName() != "quis_task_runs_total" {
			t.Fatalf("%v, %v", families, err)
		}
		for i, name := range []string{"quis_task_duration_seconds", "quis_task_last_success_timestamp_seconds"} {
			if f := families[i]; f.GetName() != name || len(f.GetMetric()) != 3 {
				t.Errorf("%v, want 3 series of %s", f, name)
			}
		}
		for _, m := range families[0].GetMetric() {
			if n := m.GetHistogram().GetSampleCount(); n != 1 {
				t.Errorf("%v: %d runs timed, want 1", m.GetLabel(), n)
			}
		}
		for _, m := range families[1].GetMetric() {
			if at := m.GetGauge().GetValue(); at != 0 {
				t.Errorf("%v: never succeeded, but at %v", m.GetLabel(), at)
			}
		}
		for _, m := range families[2].GetMetric() {
			task, result := "", ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "task" {
					task = l.GetValue()
				} else {
					result = l.GetValue()
				}
			}
			expect := 0.0
			if want[task] == result {
				expect = 1
			}
			if m.GetCounter().GetValue() != expect {
				t.Errorf("%s %s: %v, want %v", task, result, m.GetCounter().GetValue(), expect)
			}
		}
		cancel()
		<-done
	})
}

func TestLateWriteOfADeposedLeaderIsRefused(t *testing.T) {
	t.Parallel()
	type row struct {
		ID string `cbor:"1,keyasint"`
	}
	rows := fsm.NewTable(1, "rows", fsm.Spec[row]{Key: func(r *row) fsm.Key { return fsm.K(r.ID) }})
	c := fsmtest.NewCluster(t, 1, rows)
	ctx, cancel := context.WithCancel(t.Context())
	s := newStage()
	s.begin(fsm.FencedBy(ctx, c.Term()))
	results := make(chan error, 2)
	deposed := make(chan struct{})
	done := run(ctx, s, nil, Job{"j", time.Hour, func(ctx context.Context) error {
		put := func(id string) error {
			return c.DB[0].Update(ctx, func(tx *fsm.Tx) error { return rows.Put(tx, &row{id}) })
		}
		results <- put("in time")
		<-deposed // this leader does not notice
		err := put("late")
		results <- err
		return err
	}})
	if err := <-results; err != nil {
		t.Error(err)
	}
	c.NewTerm()
	close(deposed)
	if err := <-results; !errors.Is(err, fsm.ErrFenced) {
		t.Errorf("late write: %v", err)
	}
	cancel()
	s.stop()
	<-done
}

func TestJobsAreChecked(t *testing.T) {
	t.Parallel()
	ok := func(context.Context) error { return nil }
	for _, jobs := range [][]Job{{{"", time.Second, ok}}, {{"a", 0, ok}}, {{"a", 1, nil}}, {{"a", 1, ok}, {"a", 1, ok}}} {
		if err := <-run(t.Context(), newStage(), nil, jobs...); err == nil || !strings.Contains(err.Error(), "duty") {
			t.Errorf("%v: %v", jobs, err)
		}
	}
}
