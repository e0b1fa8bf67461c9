package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/notify/post"
)

const (
	maxWaiting  = 1024 // messages on this node
	laneWaiting = 256  // of them of one tenant
	laneWidth   = 4    // sent at once for one tenant: one slow server holds up nobody else's
	allWidth    = 16
	maxAttempts = 3

	// Work on a letter begins so much later, and as much again at random, than it was asked
	// for: the answer has left then, and is not slower for a person who gets one.
	apart = 50 * time.Millisecond
	grace = 3 * time.Second // for what waits when the node stops
)

// A Message is a letter that somebody asked for.
type Message struct {
	Letter letter.Name
	To     string // address; empty: nobody, and nothing is sent
	Name   string // of the person, if it is known and theirs
	Locale string // BCP 47; may be empty
	Data   letter.Data
}

// Send hands over a message for a tenant (its ID) and returns at once; it never says what
// becomes of it. What is too much, for the address, for the network that ctx's request
// comes from or for the tenant, is dropped, counted and not sent later. Hand over one with
// an empty To where there is nobody to write to, so that both take as long.
func (r *Room) Send(ctx context.Context, tenant string, m Message) {
	j := job{tenant: tenant, message: m, network: identity.RequestFrom(ctx).Network()}
	if !r.out.add(j, r.work) {
		r.metrics.attempts.WithLabelValues("direct", "full").Inc()
	}
}

// Run sends what Send was given until ctx ends; what waits then is lost, as is what waits
// on a node that dies: whoever asked asks again.
func (r *Room) Run(ctx context.Context) error {
	r.out.open(ctx, r.work)
	<-ctx.Done()
	r.out.close()
	return nil
}

// A job is a message on its way through the queue.
type job struct {
	tenant   string
	network  string
	message  Message
	attempts int
	id       string // of the message, once it was let through
}

// work takes one job as far as it goes. again says after how long it is to be tried again;
// 0: it is done with.
func (r *Room) work(ctx context.Context, j *job) (again time.Duration) {
	if j.id == "" && !r.admit(j) {
		return 0
	}
	var t identity.Tenant
	err := r.db.View(ctx, func(tx *fsm.Tx) (err error) {
		t, err = r.cfg.Tenant(tx, j.tenant)
		return err
	})
	if err == nil {
		err = r.send(ctx, dispatch{
			tenant: t, id: j.id, letter: j.message.Letter, locale: j.message.Locale, data: j.message.Data,
			to: post.Address{Name: j.message.Name, Mailbox: j.message.To},
		})
	}
	r.metrics.count("direct", err)
	if err == nil {
		return 0
	}
	j.attempts++
	var fault *post.Fault
	over := ctx.Err() != nil || j.attempts >= maxAttempts || errors.Is(err, ErrNoSettings) || errors.As(err, &fault) && fault.Final
	// Who it was for is not logged: it is a person's address.
	r.cfg.Logger.WarnContext(ctx, "mail not sent", "mail", j.id, "letter", string(j.message.Letter), "tenant", j.tenant, "attempt", j.attempts, "given_up", over, "error", err)
	if over {
		return 0
	}
	return r.cfg.Retry(j.attempts)
}

// admit says whether a job may be sent at all, and gives it its ID.
func (r *Room) admit(j *job) bool {
	to, err := post.ParseAddress("to", j.message.To)
	if err != nil {
		return false // nobody
	}
	if !r.out.rates.take(r.db.Now(), map[string]rate{
		"address " + j.tenant + " " + strings.ToLower(to): perAddress, "network " + j.network: perNetwork, "tenant " + j.tenant: perTenant,
	}) {
		r.metrics.attempts.WithLabelValues("direct", "limited").Inc()
		return false
	}
	j.id = identity.NewID(identity.PrefixMail)
	return true
}

// A queue holds what waits to be sent by this node, in a lane for each tenant.
type queue struct {
	rates rates

	mu      sync.Mutex
	ctx     context.Context // of the workers; nil: Run does not run
	cancel  context.CancelFunc
	closing chan struct{} // closed when the node stops
	lanes   map[string]*lane
	waiting int
	flying  int
	all     sync.WaitGroup
}

// A lane is what waits for one tenant.
type lane struct {
	jobs    []*job
	waiting int // jobs that are not done: these, those that fly, and those whose time has not come
	flying  int
}

type worker func(context.Context, *job) (again time.Duration)

func newQueue() *queue {
	return &queue{rates: rates{full: map[string]time.Time{}}, lanes: map[string]*lane{}, closing: make(chan struct{})}
}

// add takes a job unless there is no room.
func (q *queue) add(j job, work worker) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[j.tenant]
	if q.waiting >= maxWaiting || l != nil && l.waiting >= laneWaiting {
		return false
	}
	if l == nil {
		l = &lane{}
		q.lanes[j.tenant] = l
	}
	l.waiting++
	q.waiting++
	q.all.Go(func() {
		select {
		case <-time.After(apart + rand.N(apart)):
		case <-q.closing:
		}
		q.line(l, &j, work)
	})
	return true
}

// line puts a job in line for the first time.
func (q *queue) line(l *lane, j *job, work worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.jobs = append(l.jobs, j)
	q.start(l, work)
}

// again puts a job in line whose time has come once more, unless the node stops.
func (q *queue) again(l *lane, j *job, work worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-q.closing:
	default:
		l.jobs = append(l.jobs, j)
		q.start(l, work)
	}
}

// start sends what l has room for. q.mu is held.
func (q *queue) start(l *lane, work worker) {
	for q.ctx != nil && len(l.jobs) > 0 && l.flying < laneWidth && q.flying < allWidth {
		j := l.jobs[0]
		l.jobs = l.jobs[1:]
		l.flying++
		q.flying++
		ctx := q.ctx
		q.all.Go(func() { q.fly(ctx, l, j, work) })
	}
}

func (q *queue) fly(ctx context.Context, l *lane, j *job, work worker) {
	again := work(ctx, j)
	q.mu.Lock()
	defer q.mu.Unlock()
	l.flying--
	q.flying--
	if again > 0 { // it keeps its place among those that wait, but holds up no other
		time.AfterFunc(again, func() { q.again(l, j, work) })
	} else {
		l.waiting--
		q.waiting--
	}
	for tenant, l := range q.lanes { // in no order: nobody is always the last
		q.start(l, work)
		if l.waiting == 0 {
			delete(q.lanes, tenant)
		}
	}
}

// open begins to send, until some time after ctx has ended: see close.
func (q *queue) open(ctx context.Context, work worker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, l := range q.lanes {
		q.start(l, work)
	}
}

// close sends what it can within the grace: people have been told that it was sent.
func (q *queue) close() {
	q.mu.Lock()
	close(q.closing)
	q.mu.Unlock()
	done := make(chan struct{})
	go func() {
		q.all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(grace):
	}
	q.mu.Lock()
	q.ctx = nil
	q.mu.Unlock()
	q.cancel()
	<-done
}
