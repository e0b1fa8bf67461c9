package logout

import (
	"container/heap"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event/courier"
)

// Places to send from. An application whose last attempt failed is tried with one delivery
// at a time, and all such together never take more than a part of the places: however many
// are dead, the others are told at once.
const (
	places      = 28 // fewer than fetch.Client has
	laneWidth   = 4  // as many as it allows to one host
	ailingWidth = 1
	ailingTotal = 8
)

// An item is a delivery that waits; the row says all else.
type item struct {
	courier.Item
	next int64 // Unix milliseconds
}

type laneKey struct {
	scope       fsm.Scope
	application string
}

// A lane is what waits for one application.
type lane struct {
	waiting byNext
	flying  int
	ailing  bool // its last attempt failed
}

// A queue is what the sender knows of the pending rows. It is never the truth: a row is
// read again before it is sent.
type queue struct {
	lanes  map[laneKey]*lane
	known  map[courier.Item]laneKey // waiting or flying
	flying int
	ailing int // of those, in ailing lanes
}

func newQueue() *queue { return &queue{lanes: map[laneKey]*lane{}, known: map[courier.Item]laneKey{}} }

func itemOf(d *Delivery) item {
	return item{courier.Item{Scope: fsm.Scope(d.Tenant), Key: d.key()}, d.Next}
}

// add takes up a row that is pending; one that waits or flies already is left to its turn.
func (q *queue) add(d *Delivery) {
	i := itemOf(d)
	if _, ok := q.known[i.Item]; ok || d.State != Pending {
		return
	}
	k := laneKey{i.Scope, d.Application}
	l := q.lanes[k]
	if l == nil {
		l = &lane{}
		q.lanes[k] = l
	}
	q.known[i.Item] = k
	heap.Push(&l.waiting, i)
}

// hasten brings forward a row that waits for a later time than it says now.
func (q *queue) hasten(d *Delivery) {
	i := itemOf(d)
	k, ok := q.known[i.Item]
	if !ok || d.State != Pending {
		q.add(d)
		return
	}
	l := q.lanes[k]
	for n := range l.waiting {
		if l.waiting[n].Item == i.Item {
			l.waiting[n].next = i.next
			heap.Fix(&l.waiting, n)
			return
		}
	}
}

// take returns an item that is due and may be sent, or how long until there may be one.
func (q *queue) take(now time.Time) (i courier.Item, wait time.Duration, ok bool) {
	wait = time.Hour
	if q.flying >= places {
		return i, wait, false
	}
	for _, l := range q.lanes { // in no order: nobody is always the last
		width := laneWidth
		if l.ailing {
			width = ailingWidth
		}
		if len(l.waiting) == 0 || l.flying >= width || l.ailing && q.ailing >= ailingTotal {
			continue
		}
		if left := time.UnixMilli(l.waiting[0].next).Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if next, ok := heap.Pop(&l.waiting).(item); ok {
			i = next.Item
		}
		l.flying++
		q.flying++
		if l.ailing {
			q.ailing++
		}
		return i, 0, true
	}
	return i, wait, false
}

// landed ends the flight of an item. next is its row if it is pending again.
func (q *queue) landed(i courier.Item, ok bool, next *Delivery) {
	k := q.known[i]
	l := q.lanes[k]
	delete(q.known, i)
	l.flying--
	q.flying--
	if l.ailing != !ok {
		if l.ailing {
			q.ailing -= l.flying + 1
		} else {
			q.ailing += l.flying
		}
		l.ailing = !ok
	} else if l.ailing {
		q.ailing--
	}
	if next != nil {
		q.add(next)
	}
	if len(l.waiting) == 0 && l.flying == 0 {
		delete(q.lanes, k) // what is not there is thought to be well
	}
}

// byNext is a heap of items, the earliest first.
type byNext []item

func (h byNext) Len() int           { return len(h) }
func (h byNext) Less(i, j int) bool { return h[i].next < h[j].next }
func (h byNext) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is heap's.
func (h *byNext) Push(x any) {
	if i, ok := x.(item); ok {
		*h = append(*h, i)
	}
}

// Pop is heap's.
func (h *byNext) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
