package cluster

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/quis-idp/quis/fsm"
)

const (
	maxGroup      = 128       // batches in one log entry
	maxGroupBytes = 512 << 10 // bytes in one log entry
	groupsAtOnce  = 2         // log entries in flight
	queueLength   = 8192      // batches that wait; one more is turned away
)

// A pending batch waits to be packed. Exactly one of the packer, which sends it,
// and the proposer, which gives up, moves it away from waiting.
type pending struct {
	batch     []byte
	forwarded bool // by another node: not to be forwarded again
	state     atomic.Int32
	done      chan result // holds one
}

const (
	waiting int32 = iota
	sent
	given
)

// A result is what became of one attempt to get a batch into the log.
type result struct {
	out  fsm.Outcome
	err  error
	fate fate
}

// A fate says what is known about a batch after an attempt.
type fate uint8

const (
	decided    fate = iota // out is the answer
	notApplied             // certainly not in the log: another try may help
	maybe                  // it may be in the log, or get there yet
	hopeless               // certainly not in the log, and no try will help now
)

// A coalescer packs waiting batches into groups. There is no timer: a group is
// what has come together while the groups before it were under way, so a lone
// batch goes at once and a crowd shares its fsyncs.
type coalescer struct {
	queue   chan *pending
	flush   func(group []*pending) // answers every member
	collect sync.Mutex
	carry   *pending // did not fit into the last group
	workers sync.WaitGroup
}

func newCoalescer(ctx context.Context, flush func([]*pending)) *coalescer {
	c := &coalescer{queue: make(chan *pending, queueLength), flush: flush}
	for range groupsAtOnce {
		c.workers.Go(func() {
			for {
				group := c.next(ctx)
				if group == nil {
					return
				}
				c.flush(group)
			}
		})
	}
	return c
}

// add queues p, or reports that the queue is full.
func (c *coalescer) add(p *pending) bool {
	select {
	case c.queue <- p:
		return true
	default:
		return false
	}
}

// next waits for at least one batch and takes as many as a group holds.
func (c *coalescer) next(ctx context.Context) []*pending {
	c.collect.Lock()
	defer c.collect.Unlock()
	var group []*pending
	size := 0
	take := func(p *pending) bool {
		if len(group) > 0 && size+len(p.batch) > maxGroupBytes {
			c.carry = p
			return false
		}
		if p.state.CompareAndSwap(waiting, sent) {
			group = append(group, p)
			size += len(p.batch)
		}
		return len(group) < maxGroup
	}
	if p := c.carry; p != nil {
		c.carry = nil
		take(p)
	}
	for len(group) == 0 {
		select {
		case p := <-c.queue:
			take(p)
		case <-ctx.Done():
			return nil
		}
	}
	for {
		select {
		case p := <-c.queue:
			if !take(p) {
				return group
			}
		default:
			return group
		}
	}
}

// drain turns away what still waits once the workers have ended.
func (c *coalescer) drain() {
	c.workers.Wait()
	for p := c.carry; ; {
		if p != nil && p.state.CompareAndSwap(waiting, sent) {
			p.done <- result{fate: notApplied, err: errStopping}
		}
		select {
		case p = <-c.queue:
		default:
			return
		}
	}
}
