package logout

import (
	"fmt"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity/event/courier"
)

func waiting(app string, n int) *Delivery {
	return &Delivery{ID: fmt.Sprintf("lgo_%04d", n), Tenant: "ten", Application: app, State: Pending, Next: int64(n)}
}

// drain takes all that may be taken at once.
func drain(q *queue, now time.Time) (taken []courier.Item) {
	for {
		i, _, ok := q.take(now)
		if !ok {
			return taken
		}
		taken = append(taken, i)
	}
}

func TestDeadApplicationsLeavePlacesToOthers(t *testing.T) {
	t.Parallel()
	q, now := newQueue(), time.Now()
	for a := range 100 {
		for n := range 10 {
			q.add(waiting(fmt.Sprintf("dead%02d", a), n))
		}
	}
	first := drain(q, now)
	if len(first) != places {
		t.Fatalf("%d in flight, want %d", len(first), places)
	}
	for rounds := 0; rounds < 200; rounds++ {
		for _, i := range first {
			q.landed(i, false, nil)
		}
		first = drain(q, now)
		ailing := 0
		for _, l := range q.lanes {
			if l.ailing && l.flying > ailingWidth {
				t.Fatalf("%d in flight to one that does not answer", l.flying)
			}
			if l.ailing {
				ailing += l.flying
			}
		}
		if ailing != q.ailing || ailing > ailingTotal {
			t.Fatalf("%d in flight to dead applications, counted %d, at most %d", ailing, q.ailing, ailingTotal)
		}
	}
	q = newQueue()
	for a := range 100 {
		for n := range 2 {
			q.add(waiting(fmt.Sprintf("dead%02d", a), n))
		}
	}
	again := 100
	for range 200 { // all become known to be dead
		for _, i := range drain(q, now) {
			again++
			q.landed(i, false, waiting(q.known[i].application, again))
		}
	}
	drain(q, now)
	q.add(waiting("alive", 1))
	if _, _, ok := q.take(now); !ok {
		t.Error("an application that answers waits for those that do not")
	}
}

func TestOneApplicationTakesFewPlaces(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for n := range 50 {
		q.add(waiting("busy", n))
	}
	taken := drain(q, time.Now())
	if len(taken) != laneWidth {
		t.Errorf("%d at a time, want %d", len(taken), laneWidth)
	}
	for n, i := range taken {
		if i != itemOf(waiting("busy", n)).Item { // the one that was due at n
			t.Errorf("number %d was %v", n, i)
		}
	}
}

func TestQueueWaitsForWhatIsNotDue(t *testing.T) {
	t.Parallel()
	q, now := newQueue(), time.Now()
	d := waiting("web", 1)
	d.Next = now.Add(10 * time.Second).UnixMilli()
	q.add(d)
	q.add(d)
	_, wait, ok := q.take(now)
	if ok || wait < 9*time.Second || wait > 10*time.Second {
		t.Fatalf("taken %v, wait %v", ok, wait)
	}
	d.Next = now.UnixMilli()
	q.hasten(d)
	i, _, ok := q.take(now)
	if !ok {
		t.Fatal("a retry waits for its old time")
	}
	if _, _, ok := q.take(now); ok {
		t.Error("taken twice")
	}
	q.landed(i, true, nil)
	if len(q.lanes) != 0 || len(q.known) != 0 || q.flying != 0 {
		t.Errorf("left over: %+v", q)
	}
}
