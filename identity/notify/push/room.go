package push

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/notify/lane"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	maxWaiting  = 256 // persons to be told by this node
	laneWaiting = 64  // of them of one tenant
	allWidth    = 16  // told at once
	laneWidth   = 4   // of one tenant, each of another person: slow services hold up nobody else's

	untold = 24 * time.Hour // how long a warning waits for a browser that is off
)

// A News is what a browser is told of; it is the topic of the message as well, of which one that waits is
// replaced by the next (RFC 8030, section 5.4).
type News string

// The news.
const (
	SignIn   News = "approval" // a sign-in waits for approval
	Recovery News = "recovery" // somebody is getting back into the account, which takes time, and can be stopped
	Password News = "password" // somebody who reads the person's mail is about to set another password
)

// Config is what a Room works with; DB, Ring, Post, Lifetime and Logger must be set, and Modern where
// members of older releases may be.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring
	// Contact is a URL, https or mailto, where operators of push services can turn to
	// (RFC 8292, section 2.1).
	Contact string
	// Post sends one message to a URL that a stranger chose, within bounds of time and size
	// and through a guard, and returns the status of the answer. Its errors quote nothing of
	// the URL but the host.
	Post     func(ctx context.Context, url string, h http.Header, body []byte) (status int, err error)
	Lifetime time.Duration // of what is told of: later, nobody needs to hear
	// Modern makes sure that every member knows that browsers may be bound to a former key.
	Modern func(ctx context.Context) error

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Room tells browsers. Run must run for it to do so.
type Room struct {
	cfg    Config
	queue  *lane.Queue[job]
	warned recent
	sent   *prometheus.CounterVec
}

// recent are the IDs of what was warned of last.
type recent struct {
	sync.Mutex
	ids  [256]string
	next int
}

// first reports whether id is none of them, and notes it.
func (l *recent) first(id string) bool {
	l.Lock()
	defer l.Unlock()
	if slices.Contains(l.ids[:], id) {
		return false
	}
	l.ids[l.next] = id
	l.next = (l.next + 1) % len(l.ids)
	return true
}

// A job is a person to be told.
type job struct {
	news           News
	tenant, userID string
	sessions       []string // of the browsers; nil: all of the person's
	until          time.Time
}

// New returns a Room. It panics if the configuration lacks what it must have.
func New(c Config) *Room {
	if c.DB == nil || c.Ring == nil || c.Post == nil || c.Lifetime <= 0 || c.Logger == nil {
		panic("push: incomplete configuration")
	}
	r := &Room{cfg: c, sent: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "quis_push_messages_total",
		Help: "Push messages to browsers, by result: done, gone (the subscription is given up), failed, late, full.",
	}, []string{"result"})}
	r.queue = lane.New(lane.Config[job]{
		Waiting: maxWaiting, WaitingEach: laneWaiting, Width: allWidth, WidthEach: laneWidth,
		Of: func(j *job) string { return j.userID }, Work: r.work,
	})
	for _, result := range []string{"done", "gone", "failed", "late", "full"} {
		r.sent.WithLabelValues(result)
	}
	if c.Registerer != nil {
		c.Registerer.MustRegister(r.sent)
	}
	return r
}

// Tell has the browsers of these sessions of a user told, those that subscribed, and returns
// at once. The caller knows that the sessions stand. It never says what becomes of it.
func (r *Room) Tell(tenant, userID string, sessions []string) {
	if len(sessions) == 0 {
		return
	}
	r.add(job{SignIn, tenant, userID, slices.Clone(sessions), r.cfg.DB.Now().Add(r.cfg.Lifetime)})
}

// Warn has all browsers of a user that subscribed told that somebody is getting back into the account,
// and returns at once. about is the ID of what says so, an event or a flow: this node warns of it once, though
// an event may be heard, and a form be posted, again.
func (r *Room) Warn(tenant, userID, about string) { r.warn(Recovery, tenant, userID, about) }

// WarnOfPassword is Warn for somebody who is about to set another password, by what comes by mail.
func (r *Room) WarnOfPassword(tenant, userID, about string) { r.warn(Password, tenant, userID, about) }

func (r *Room) warn(news News, tenant, userID, about string) {
	if r.warned.first(tenant + " " + userID + " " + about) { // one flow may be more than one person's
		r.add(job{news, tenant, userID, nil, r.cfg.DB.Now().Add(untold)})
	}
}

func (r *Room) add(j job) {
	if !r.queue.Add(j.tenant, j) {
		r.sent.WithLabelValues("full").Inc()
	}
}

// Run sends what Tell was given until ctx ends; what waits then is lost. The page of the
// browser that asks is no worse for it.
func (r *Room) Run(ctx context.Context) error {
	r.queue.Run(ctx)
	return nil
}

// work tells one person, once: all their browsers at the same time, since one service may be slow.
func (r *Room) work(ctx context.Context, j *job) time.Duration {
	to, err := r.load(ctx, j)
	if err != nil {
		r.sent.WithLabelValues("failed").Inc()
		r.cfg.Logger.WarnContext(ctx, "push message not sent", "user", j.userID, "error", err)
		return 0
	}
	var all sync.WaitGroup
	for i := range to {
		all.Go(func() { r.deliver(ctx, j, &to[i]) })
	}
	all.Wait()
	return 0
}

// A recipient is a browser to be told, and the key that it knows us by; nil: that is forgotten.
type recipient struct {
	Subscription
	pair *keyPair
}

// load returns who is to be told, by a state of this node.
func (r *Room) load(ctx context.Context, j *job) (to []recipient, err error) {
	err = r.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		all, err := Of(tx, j.tenant, j.userID)
		if err != nil {
			return err
		}
		to = nil
		for _, s := range all {
			if s.Endpoint == "" || j.sessions != nil && !slices.Contains(j.sessions, s.Session) {
				continue
			}
			pair, err := pairOf(tx, &s)
			if err != nil {
				return err
			}
			to = append(to, recipient{s, pair})
		}
		return nil
	})
	return to, err
}

// deliver sends one message, once.
func (r *Room) deliver(ctx context.Context, j *job, s *recipient) {
	defer func() {
		if p := recover(); p != nil {
			r.sent.WithLabelValues("failed").Inc()
			r.cfg.Logger.ErrorContext(ctx, "push message not sent", "user", s.UserID, "panic", p)
		}
	}()
	left := j.until.Sub(r.cfg.DB.Now())
	if left < time.Second {
		r.sent.WithLabelValues("late").Inc()
		return
	}
	status, err := http.StatusGone, error(nil)
	if s.pair != nil {
		status, err = r.send(ctx, j.news, s, left)
	}
	switch {
	case err == nil && (status == http.StatusNotFound || status == http.StatusGone):
		r.sent.WithLabelValues("gone").Inc()
		if err = r.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return lose(tx, &s.Subscription) }); err != nil {
			r.cfg.Logger.WarnContext(ctx, "push subscription not given up", "user", s.UserID, "session", s.Session, "error", err)
		}
	case err == nil && status/100 == 2:
		r.sent.WithLabelValues("done").Inc()
	default: // the address is a secret, and is not logged
		r.sent.WithLabelValues("failed").Inc()
		r.cfg.Logger.WarnContext(ctx, "push message not taken", "user", s.UserID, "session", s.Session, "status", status, "error", err)
	}
}

func (r *Room) send(ctx context.Context, news News, s *recipient, left time.Duration) (int, error) {
	private, err := s.pair.private(r.cfg.Ring)
	if err != nil {
		return 0, err
	}
	plain, err := message(s.Language, news)
	if err != nil {
		return 0, err
	}
	body, err := encrypt(plain, s.P256DH, s.Auth)
	if err != nil {
		return 0, err
	}
	who, err := authorization(private, s.pair.Public, s.Endpoint, r.cfg.Contact, r.cfg.DB.Now())
	if err != nil {
		return 0, err
	}
	h := http.Header{}
	h.Set("Authorization", who)
	h.Set("Content-Encoding", "aes128gcm")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("TTL", strconv.Itoa(int(left.Seconds())))
	h.Set("Urgency", "high")
	h.Set("Topic", string(news))
	return r.cfg.Post(ctx, s.Endpoint, h, body)
}
