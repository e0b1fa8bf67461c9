package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/notify/lane"
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

	// Browser names one in which the person has signed in before, in which it was asked for. Each of these has
	// mail of its own, as has each network for all other browsers ("") in it: a stranger must not use up the owner's.
	Browser string
	// Proved says that it was asked for by who had proved before to be the person. They have mail of their own, too: strangers
	// must not use up that of whoever needs it besides a password.
	Proved bool
}

// Send hands over a message for a tenant (its ID) and returns at once; it never says what
// becomes of it. What is too much, for the address, for the network that ctx's request
// comes from or for the tenant, is dropped, counted and not sent later. Hand over one with
// an empty To where there is nobody to write to, so that both take as long.
func (r *Room) Send(ctx context.Context, tenant string, m Message) {
	j := job{tenant: tenant, message: m, network: identity.RequestFrom(ctx).Network()}
	if !r.out.Add(tenant, j) {
		r.metrics.attempts.WithLabelValues("direct", "full").Inc()
	}
}

// Run sends what Send was given until ctx ends; what waits then is lost, as is what waits
// on a node that dies: whoever asked asks again.
func (r *Room) Run(ctx context.Context) error {
	r.out.Run(ctx)
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
	mailbox := j.tenant + " " + strings.ToLower(to)
	limits := map[string]rate{"network " + j.network: perNetwork, "tenant " + j.tenant: perTenant}
	switch {
	case j.message.Browser != "":
		limits["known "+mailbox] = perMailbox // who was in an account once may have made many
		limits["browser "+j.message.Browser+" "+mailbox] = perAddress
	case j.message.Proved:
		limits["proved "+mailbox] = perMailbox
		limits["proof "+j.network+" "+mailbox] = perAddress
	default:
		limits["mailbox "+mailbox] = perMailbox
		limits["address "+j.network+" "+mailbox] = perAddress
	}
	if !r.rates.take(r.db.Now(), limits) {
		r.metrics.attempts.WithLabelValues("direct", "limited").Inc()
		return false
	}
	j.id = identity.NewID(identity.PrefixMail)
	return true
}

// newQueue returns the queue of what Send is given.
func (r *Room) newQueue() *lane.Queue[job] {
	return lane.New(lane.Config[job]{
		Waiting: maxWaiting, WaitingEach: laneWaiting, Width: allWidth, WidthEach: laneWidth,
		Delay: func() time.Duration { return apart + rand.N(apart) }, Grace: grace, Work: r.work,
	})
}
