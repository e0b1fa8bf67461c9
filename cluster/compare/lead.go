package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	rest        = 100     // times as long as a hash took, at least, between two of them
	manyBytes   = 1 << 30 // through the log make the next comparison due earlier
	lookEvery   = 10      // times in Every that the leader sees whether one is due
	idleFactor  = 12      // times as long while nothing changes
	pollFirst   = 20 * time.Millisecond
	pollLast    = time.Second
	roundLimit  = 2 * time.Minute // a member that has not hashed by then has not answered
	reachLimit  = 3 * time.Second // for an entry to come that was hoped for
	roundTries  = 6
	firstSlack  = 64
	callTimeout = 5 * time.Second
)

// Lead compares from time to time until ctx, which is the leadership, ends.
func (c *Comparer) Lead(ctx context.Context) {
	begun, bytes, index := time.Now(), c.cfg.Written(), uint64(0)
	tick := time.NewTicker(max(c.cfg.Every/lookEvery, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		pause := rest * c.last
		c.mu.Unlock()
		due := max(c.cfg.Every, pause)
		switch {
		case c.cfg.Written()-bytes > manyBytes:
			due = max(due/4, pause)
		case c.cfg.DB.Position().Index == index:
			due *= idleFactor
		}
		if time.Since(begun) < due {
			continue
		}
		begun, bytes = time.Now(), c.cfg.Written()
		if at, part, err := c.Round(ctx); err == nil {
			index = 0 // somebody was away: there is something to compare though nothing changes
			if part == len(c.cfg.Members()) {
				index = at
			}
		} else if ctx.Err() == nil {
			c.log.Warn("states not compared", "error", err)
		}
	}
}

var errNoPoint = errors.New("the members did not hash the same entry: they apply too unevenly")

// Round compares once, tells those concerned, and returns the log index at which it did and
// how many members took part. A member that does not answer in time takes none; one that took part,
// but could not be told what was found, is an error.
func (c *Comparer) Round(ctx context.Context) (index uint64, part int, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	members := c.cfg.Members()
	slack := uint64(0)
	for range roundTries {
		reports, again := c.gather(ctx, members, c.cfg.DB.Position().Index+slack)
		switch again {
		case tooEarly: // it is quiet now
			slack = 0
		case tooLate:
			slack = max(firstSlack, slack*4)
		default:
			if len(reports) == 0 {
				return 0, 0, errNoPoint
			}
			return reports[0].Index, len(reports), c.act(ctx, members, reports)
		}
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
	}
	return 0, 0, errNoPoint
}

type retry int

const (
	gathered retry = iota
	tooEarly       // the entry does not come
	tooLate        // some member is past it
)

// gather has every member hash its state after the entry at index. Whoever does not
// answer is left out.
func (c *Comparer) gather(ctx context.Context, members []Member, index uint64) (reports []Report, again retry) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	var slowest time.Duration
	for _, m := range members {
		all.Go(func() {
			a, why := c.await(ctx, m, index)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case why != gathered && again == gathered:
				again = why
				cancel()
			case a != nil:
				reports = append(reports, Report{Node: m.ID, Voter: m.Voter, Index: a.Index, Sum: a.Sum})
				slowest = max(slowest, time.Duration(a.Took))
			}
		})
	}
	all.Wait()
	if again != gathered {
		return nil, again
	}
	c.mu.Lock()
	c.last = slowest
	c.mu.Unlock()
	return sameIndex(reports, c.cfg.NodeID), gathered
}

// sameIndex leaves out those that hashed another entry than the leader, of which
// nothing can be said.
func sameIndex(reports []Report, leader string) []Report {
	at := slices.IndexFunc(reports, func(r Report) bool { return r.Node == leader })
	if at < 0 {
		return nil
	}
	index := reports[at].Index
	return slices.DeleteFunc(reports, func(r Report) bool { return r.Index != index })
}

// await asks one member until it has hashed. Only the leader itself knows that an
// entry does not come.
func (c *Comparer) await(ctx context.Context, m Member, index uint64) (*checkpointAnswer, retry) {
	begun, pause := time.Now(), pollFirst
	for {
		a, err := c.ask(ctx, m, index)
		switch {
		case err != nil:
			return nil, gathered
		case a.Passed:
			return nil, tooLate
		case a.Made:
			return a, gathered
		case m.ID == c.cfg.NodeID && a.Applied < index && time.Since(begun) > reachLimit:
			return nil, tooEarly
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, gathered
		}
		pause = min(2*pause, pollLast)
	}
}

func (c *Comparer) ask(ctx context.Context, m Member, index uint64) (*checkpointAnswer, error) {
	if m.ID == c.cfg.NodeID {
		return c.checkpoint(index)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var a checkpointAnswer
	err := c.cfg.Call(ctx, m, methodCheckpoint, &checkpointRequest{index}, &a)
	return &a, err
}

// act tells those whose state is odd, and everybody if nobody knows whose is. It reports
// who of those that took part could not be told.
func (c *Comparer) act(ctx context.Context, members []Member, reports []Report) (untold error) {
	voters := 0
	for _, m := range members {
		if m.Voter {
			voters++
		}
	}
	j := Judge(reports, voters)
	if j.Undecided {
		note := describe(reports)
		for _, m := range members {
			err := c.tell(ctx, m, &divergedRequest{Index: reports[0].Index, Undecided: note})
			if slices.ContainsFunc(reports, func(r Report) bool { return r.Node == m.ID }) {
				untold = errors.Join(untold, err)
			}
		}
		return untold
	}
	for _, odd := range j.Odd {
		if odd.Node != c.cfg.NodeID {
			c.seen.Inc()
			c.log.Error("the state of a member differs from that of the majority", "member", odd.Node, "index", odd.Index,
				"member_sum", odd.Sum.String(), "majority_sum", j.Right.String())
		}
		at := slices.IndexFunc(members, func(m Member) bool { return m.ID == odd.Node })
		untold = errors.Join(untold, c.tell(ctx, members[at], &divergedRequest{Index: odd.Index, Yours: odd.Sum, Right: j.Right, Good: j.Good}))
	}
	return untold
}

func (c *Comparer) tell(ctx context.Context, m Member, q *divergedRequest) error {
	if m.ID == c.cfg.NodeID {
		return c.diverged(q)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.cfg.Call(ctx, m, methodDiverged, q, nil); err != nil {
		return fmt.Errorf("tell node %s that states differ: %w", m.ID, err)
	}
	return nil
}
