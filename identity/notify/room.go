package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event/courier"
	"github.com/quis-idp/quis/identity/notify/lane"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

// Config is what a Room works with; DB, Ring, Carrier, Tenant and Logger must be set.
type Config struct {
	DB      *fsm.DB
	Ring    *seal.Ring
	Carrier *post.Carrier
	// Tenant returns what a letter needs to know of a tenant, or fsm.ErrNotFound.
	Tenant func(tx *fsm.Tx, id string) (identity.Tenant, error)
	// Inbox, if set, takes the mail of tenants without settings: a developer's machine.
	Inbox func(tenant string, m *post.Message) error
	// Alarm returns the "this wasn't me" link for an event that a user is told of; nil:
	// letters have none.
	Alarm func(t identity.Tenant, userID, eventID string) (string, error)

	// Warn, if set, has browsers of a user told that somebody is getting back into the account: another
	// channel than the mailbox, by which they may do so.
	Warn func(tenant, userID, event string)

	// Invitation returns what is mailed to somebody who is invited, or fsm.ErrNotFound if that
	// was taken back or accepted; nil: no invitation is mailed.
	Invitation func(tx *fsm.Tx, t identity.Tenant, id string) (Invited, error)

	Pause func(attempts int) time.Duration // before the next attempt at a notice; default grows from 5 s to 30 min
	Retry func(attempts int) time.Duration // the same for what Send sends; default 2 s, then 15 s

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Invited is what a letter to somebody who is no user yet needs.
type Invited struct {
	Name, Locale, Link string
	Until              time.Time // the link is good
}

// A Room sends mail. Run Read and Deliver on the leader, and Run everywhere.
type Room struct {
	cfg     Config
	db      *fsm.DB
	out     *lane.Queue[job]
	rates   rates
	metrics *metrics
}

// New returns a Room. It panics if the configuration lacks what it must have.
func New(c Config) *Room {
	if c.DB == nil || c.Ring == nil || c.Carrier == nil || c.Tenant == nil || c.Logger == nil {
		panic("notify: incomplete configuration")
	}
	if c.Pause == nil {
		c.Pause = courier.Pause
	}
	if c.Retry == nil {
		c.Retry = retryPause
	}
	r := &Room{cfg: c, db: c.DB, rates: rates{full: map[string]time.Time{}}, metrics: newMetrics(c.Registerer)}
	r.out = r.newQueue()
	return r
}

// Tables are the tables of this room.
var Tables = []fsm.Definition{mailSettings, deliveries, browsers}

// ErrNoSettings: the tenant has no settings for mail, so nothing is sent.
var ErrNoSettings = errors.New("this tenant has no mail settings")

// A dispatch is all that is needed to send one letter.
type dispatch struct {
	tenant identity.Tenant
	id     string // of the message
	letter letter.Name
	to     post.Address
	locale string
	data   letter.Data
}

// send renders and sends one letter. Errors are *post.Fault, or ErrNoSettings, or of the store.
func (r *Room) send(ctx context.Context, d dispatch) error {
	var s *Settings
	var look *settings.Authentication
	err := r.db.View(ctx, func(tx *fsm.Tx) (err error) {
		if look, _, err = settings.Get(tx, d.tenant.ID); err == nil {
			s, _, err = GetSettings(tx, d.tenant.ID)
		}
		return err
	})
	none := errors.Is(err, fsm.ErrNotFound)
	if none && r.cfg.Inbox == nil {
		return ErrNoSettings
	}
	if none {
		s, err = &Settings{Tenant: d.tenant.ID, From: "quis@" + inboxDomain, FromName: "quis"}, nil
	}
	if err != nil {
		return err
	}
	l, err := write(d, look)
	if err != nil {
		return err
	}
	m := s.message(d, l, r.db.Now())
	if err != nil {
		return err
	}
	if none {
		return r.cfg.Inbox(d.tenant.ID, m)
	}
	server, err := s.server(r.cfg.Ring)
	if err != nil {
		return err
	}
	return r.cfg.Carrier.Deliver(ctx, server, m)
}

// inboxDomain is where mail seems to come from that does not leave (RFC 6761).
const inboxDomain = "quis.localhost"

// write renders the letter in the person's language, if the tenant speaks it, or the tenant's.
func write(d dispatch, look *settings.Authentication) (*letter.Letter, error) {
	d.data.Place, d.data.Person = place(d.tenant, look.BrandName), d.to.Name
	return letter.Render(d.letter, string(look.Speak(d.locale)), d.data)
}

func (s *Settings) message(d dispatch, l *letter.Letter, now time.Time) *post.Message {
	return &post.Message{
		ID: d.id, From: post.Address{Name: s.FromName, Mailbox: s.From}, ReplyTo: s.ReplyTo, To: d.to,
		Subject: l.Subject, Text: l.Text, HTML: l.HTML, Date: now,
	}
}

// place is what people know a tenant by: its brand and the host of its issuer, or that and
// its path.
func place(t identity.Tenant, brand string) string {
	u, err := url.Parse(t.Issuer)
	if err != nil || u.Host == "" {
		return t.Slug
	}
	if brand != "" {
		return brand + " (" + u.Host + ")"
	}
	return u.Host + u.Path
}

// Test sends the test letter now, with the settings as they are, and says what came of it:
// identity.ErrInvalid, in words for an administrator, if it was not taken.
func (r *Room) Test(ctx context.Context, t identity.Tenant, to, locale string) error {
	to, err := post.ParseAddress("to", to)
	if err != nil {
		return err
	}
	err = r.send(ctx, dispatch{tenant: t, id: identity.NewID(identity.PrefixMail), letter: letter.Test, to: post.Address{Mailbox: to}, locale: locale})
	r.metrics.count("test", err)
	var fault *post.Fault
	switch {
	case errors.Is(err, ErrNoSettings):
		return identity.NotFound("There are no mail settings yet: set them first.")
	case errors.As(err, &fault):
		return identity.Invalid("", "The message was not taken. "+fault.Status)
	case err != nil:
		return fmt.Errorf("send test mail: %w", err)
	}
	return nil
}

// A State says whether a tenant can send mail.
type State string

// What can be said of it.
const (
	StateNone  State = "none"  // no settings: nothing is sent
	StateInbox State = "inbox" // to the inbox of a developer's machine
	StateSet   State = "set"   // to the server of the settings
)

// State says whether and how a tenant's mail is sent.
func (r *Room) State(tx *fsm.Tx, tenant string) (State, error) {
	has, err := mailSettings.Has(tx, fsm.Scope(tenant), settingsKey)
	switch {
	case err != nil:
		return "", err
	case has:
		return StateSet, nil
	case r.cfg.Inbox != nil:
		return StateInbox, nil
	}
	return StateNone, nil
}

// Sends reports whether a tenant's mail goes anywhere.
func (r *Room) Sends(tx *fsm.Tx, tenant string) (bool, error) {
	state, err := r.State(tx, tenant)
	return state != StateNone, err
}

// Preview renders a letter with made-up data, in locale or the tenant's language. It
// reports fsm.ErrNotFound for a letter that there is not.
func (r *Room) Preview(ctx context.Context, t identity.Tenant, n letter.Name, locale string) (*letter.Letter, error) {
	if !n.Known() {
		return nil, identity.NotFound("There is no letter of that name.")
	}
	var look *settings.Authentication
	err := r.db.View(ctx, func(tx *fsm.Tx) (err error) {
		look, _, err = settings.Get(tx, t.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	d := letter.Sample(n)
	d.Link, d.Alarm = t.Issuer+"/login?example", t.Issuer+"/account/not-me?example"
	return write(dispatch{tenant: t, letter: n, to: post.Address{Name: d.Person}, locale: locale, data: d}, look)
}
