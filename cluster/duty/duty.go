// Package duty runs named jobs on the leader, and only there.
//
// A job runs at once when its node has taken over and then at its fixed interval,
// one run at a time, always on a fresh look at the store: whatever was done stands
// in the store, never in the memory of a job. The context of a run ends when the
// leadership ends, and every write made under it carries the leadership term, so
// that the late write of a leader that does not know yet that it is deposed is
// refused by the log itself ([fsm.ErrFenced]). Jobs must be safe to run again.
//
// Not here: who leads, and what the jobs do.
package duty

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
)

// A Job is something the leader does from time to time.
type Job struct {
	Name  string        // label of its metrics: lower case, no spaces
	Every time.Duration // from the start of one run to the start of the next
	Run   func(ctx context.Context) error
}

// A Leader tells when this node leads. A cluster node is one.
type Leader interface {
	// Lead returns once this node leads and has applied all that earlier leaders had
	// acknowledged. The context it returns is fenced by the term ([fsm.FencedBy]) and
	// ends with it. Lead's own error is that of ctx.
	Lead(ctx context.Context) (context.Context, error)
}

// Run runs the jobs whenever leader says so, until ctx ends, and returns when all
// of them have stopped. Its error is about the jobs as given, never about a run.
func Run(ctx context.Context, leader Leader, jobs []Job, log *slog.Logger, reg prometheus.Registerer) error {
	met := newMetrics()
	seen := map[string]bool{}
	for _, j := range jobs {
		if j.Name == "" || j.Every <= 0 || j.Run == nil || seen[j.Name] {
			return fmt.Errorf("duty %q: needs a name of its own, an interval and something to do", j.Name)
		}
		seen[j.Name] = true
		met.begin(j.Name)
	}
	if reg != nil {
		done, err := met.register(reg)
		if err != nil {
			return err
		}
		defer done()
	}
	for {
		term, err := leader.Lead(ctx)
		if err != nil {
			return nil // ctx has ended: that is how duties stop
		}
		var all sync.WaitGroup
		for _, j := range jobs {
			all.Go(func() { repeat(term, j, log, met) })
		}
		all.Wait()
	}
}

// repeat runs one job through one term.
func repeat(term context.Context, j Job, log *slog.Logger, met *metrics) {
	tick := time.NewTicker(j.Every)
	defer tick.Stop()
	for {
		began := time.Now()
		err := once(term, j)
		result := outcome(term, err)
		met.ran(j.Name, result, time.Since(began))
		if result == "error" {
			log.Error("duty failed and will run again", "duty", j.Name, "error", err, "every", j.Every)
		}
		select {
		case <-tick.C:
			if term.Err() != nil {
				return
			}
		case <-term.Done():
			return
		}
	}
}

// once keeps the panic of one job from ending the node.
func once(ctx context.Context, j Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return j.Run(ctx)
}

func outcome(term context.Context, err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fsm.ErrFenced):
		return "fenced"
	case term.Err() != nil:
		return "cancelled"
	default:
		return "error"
	}
}
