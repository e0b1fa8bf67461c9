// Package group packs batches that arrive together into groups, each of which becomes
// one entry of the log (or one call to the leader), and carries back to every proposer
// what became of its batch.
//
// There is no timer: a group is what has come together while the groups before it
// were under way, and what all who can run have to propose: a lone batch goes at once, a
// crowd shares its fsyncs. Exactly one of the packer, which sends a batch, and its
// proposer, who gives up, decides whether it was sent; so "certainly not in the log" is
// never said of one that was.
//
// Not here: how a group reaches the log, and when to try again.
package group

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/quis-idp/quis/fsm"
)

// The sizes of groups.
const (
	Max         = 128       // batches in one log entry
	maxBytes    = 512 << 10 // bytes in one log entry
	atOnce      = 2         // log entries in flight
	queueLength = 8192      // batches that wait; one more is turned away
)

// ErrFull reports a batch that was turned away because too many wait.
var ErrFull = errors.New("too many writes are waiting")

// A Batch waits to be packed, is sent, and is answered once.
type Batch struct {
	Bytes     []byte
	Forwarded bool // by another node: not to be forwarded again
	state     atomic.Int32
	done      chan Result // holds one
}

// NewBatch returns a batch that nobody has sent yet.
func NewBatch(bytes []byte, forwarded bool) *Batch {
	return &Batch{Bytes: bytes, Forwarded: forwarded, done: make(chan Result, 1)}
}

// Answer tells the proposer of b what became of it. It is called once.
func (b *Batch) Answer(r Result) { b.done <- r }

// Wait returns what became of b. When ctx ends or quit closes before that, b is taken
// back if it was not sent yet, and otherwise its fate is Maybe.
func (b *Batch) Wait(ctx context.Context, quit <-chan struct{}, stopping error) Result {
	err := stopping
	select {
	case r := <-b.done:
		return r
	case <-ctx.Done():
		err = ctx.Err()
	case <-quit:
	}
	if b.state.CompareAndSwap(waiting, given) {
		return Result{Fate: NotApplied, Err: err}
	}
	select {
	case r := <-b.done:
		return r
	default:
		return Result{Fate: Maybe, Err: err}
	}
}

const (
	waiting int32 = iota
	sent
	given
)

// A Result is what became of one attempt to get a batch into the log.
type Result struct {
	Out  fsm.Outcome
	Err  error
	Fate Fate
}

// A Fate says what is known about a batch after an attempt.
type Fate uint8

// The fates, as they also stand in answers between nodes.
const (
	Decided    Fate = iota // Out is the answer
	NotApplied             // certainly not in the log: another try may help
	Maybe                  // it may be in the log, or get there yet
	Hopeless               // certainly not in the log, and no try will help now
)

// A Packer packs waiting batches into groups.
type Packer struct {
	queue   chan *Batch
	flush   func(group []*Batch) // answers every member
	collect sync.Mutex
	carry   *Batch // did not fit into the last group
	workers sync.WaitGroup
}

// New starts a packer. It gives each group to flush, which answers every batch of it;
// two groups may be under way at once. It works until ctx ends: then call Drain.
func New(ctx context.Context, flush func([]*Batch)) *Packer {
	c := &Packer{queue: make(chan *Batch, queueLength), flush: flush}
	for range atOnce {
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

// Add queues p, or reports false because the queue is full.
func (c *Packer) Add(p *Batch) bool {
	select {
	case c.queue <- p:
		return true
	default:
		return false
	}
}

// next waits for at least one batch and takes as many as a group holds.
func (c *Packer) next(ctx context.Context) []*Batch {
	c.collect.Lock()
	defer c.collect.Unlock()
	var group []*Batch
	size := 0
	take := func(p *Batch) bool {
		if len(group) > 0 && size+len(p.Bytes) > maxBytes {
			c.carry = p
			return false
		}
		if p.state.CompareAndSwap(waiting, sent) {
			group = append(group, p)
			size += len(p.Bytes)
		}
		return len(group) < Max
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
	// A worker that is woken runs next, so the first of a crowd would go alone: let the others come.
	runtime.Gosched()
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

// Waiting returns how many batches wait to be packed.
func (c *Packer) Waiting() int { return len(c.queue) }

// Drain turns away what still waits once the workers have ended.
func (c *Packer) Drain(why error) {
	c.workers.Wait()
	for p := c.carry; ; {
		if p != nil && p.state.CompareAndSwap(waiting, sent) {
			p.Answer(Result{Fate: NotApplied, Err: why})
		}
		select {
		case p = <-c.queue:
		default:
			return
		}
	}
}
