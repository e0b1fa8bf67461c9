package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// A Kind is what an operation does, and thereby by which model it is judged.
type Kind string

// The kinds of operation. Fields of Op that a kind does not mention stay empty.
const (
	Write  Kind = "write"  // register: New is written, whatever was there
	Read   Kind = "read"   // register: Got is what is there; "" if nothing
	Swap   Kind = "swap"   // register: New is written if Old is there; refused, Got may say what was
	Add    Kind = "add"    // counter: one more; Got is the number after it
	Count  Kind = "count"  // counter: Got is the number
	Create Kind = "create" // name: New becomes the owner of Key; refused if there is one
	Lookup Kind = "lookup" // name: Got is the owner; "" if there is none

	Redeem Kind = "redeem" // single-use token: used up; refused if it was before

	Start   Kind = "start"   // family: begins with refresh token New
	Refresh Kind = "refresh" // family: Old is traded for Got
	Revoke  Kind = "revoke"  // family, or whatever is used: ends
	Use     Kind = "use"     // of something that may be revoked, answered from a state that may be a little old
)

// An Outcome is what a client knows of an operation after it has ended.
type Outcome uint8

// The outcomes. The zero value is none of them.
const (
	OK      Outcome = iota + 1 // it took effect, once
	Refused                    // answered with no: what it needed was not so
	Never                      // it had no effect and never will
	Unknown                    // it may have taken effect, or will at any later time, or never
)

// String returns the outcome in one word.
func (o Outcome) String() string {
	if o < OK || o > Unknown {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return [...]string{"ok", "refused", "never", "unknown"}[o-1]
}

// An Op is one operation of one client. Call and Return count from the beginning of
// the recording, by a clock that nobody sets.
type Op struct {
	Kind          Kind
	Key           string // which row, name, token, family
	Node          string // that was asked
	Old, New, Got string
	Call, Return  time.Duration
	Outcome       Outcome
	Note          string // for a reader: the error, say
}

// String describes the operation in one line.
func (o Op) String() string {
	back := o.Return.Round(time.Millisecond).String()
	if o.Return == forever {
		back = "…"
	}
	return fmt.Sprintf("[%s, %s] %s %s %s old=%q new=%q got=%q %s %s",
		o.Call.Round(time.Millisecond), back, o.Node, o.Kind, o.Key, o.Old, o.New, o.Got, o.Outcome, o.Note)
}

// forever is when an operation of unknown outcome returns.
const forever = time.Duration(math.MaxInt64)

// changes says whether operations of this kind write something.
func (k Kind) changes() bool {
	return k != Read && k != Count && k != Lookup && k != Use && k != Start
}

// A Recorder collects operations. Its methods may be called from any goroutine.
type Recorder struct {
	began time.Time
	mu    sync.Mutex
	ops   []*Op
}

// NewRecorder begins a recording.
func NewRecorder() *Recorder { return &Recorder{began: time.Now()} }

// Since returns the present moment as recordings count it.
func (r *Recorder) Since() time.Duration { return time.Since(r.began) }

// A Pending is an operation under way.
type Pending struct {
	r  *Recorder
	op *Op
}

// Begin notes an operation before it is sent; Call is set here. One that is never
// ended counts as of unknown outcome.
func (r *Recorder) Begin(o Op) *Pending {
	o.Call, o.Return, o.Outcome = r.Since(), forever, Unknown
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, &o)
	return &Pending{r, &o}
}

// End notes how it ended and what was answered.
func (p *Pending) End(outcome Outcome, got, note string) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.op.Outcome, p.op.Got, p.op.Note = outcome, got, note
	if outcome != Unknown {
		p.op.Return = p.r.Since()
	}
}

// Ops returns all operations so far, in order of their calls.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := make([]Op, len(r.ops))
	for i, o := range r.ops {
		ops[i] = *o
	}
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	return ops
}

// Outage returns the longest time in which somebody wanted to change something and
// nobody succeeded, among the operations that returned between from and to.
func Outage(ops []Op, from, to time.Duration) time.Duration {
	var done, tried []Op
	for _, o := range ops {
		if !o.Kind.changes() || o.Return < from || o.Call > to {
			continue
		}
		tried = append(tried, o)
		if o.Outcome == OK && o.Return <= to {
			done = append(done, o)
		}
	}
	slices.SortFunc(done, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	var longest time.Duration
	last := from
	for _, d := range append(done, Op{Return: to}) {
		wanted := d.Return
		for _, o := range tried {
			if o.Return > last && o.Call < wanted {
				wanted = max(o.Call, last)
			}
		}
		longest = max(longest, d.Return-wanted)
		last = d.Return
	}
	return longest
}

// Writes counts the operations that changed something and were acknowledged.
func Writes(ops []Op) int {
	n := 0
	for _, o := range ops {
		if o.Kind.changes() && o.Outcome == OK {
			n++
		}
	}
	return n
}
