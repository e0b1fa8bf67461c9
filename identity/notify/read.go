package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/letter"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/settings"
)

// readerName is that of the replicated cursor.
const readerName = "mail"

// Read follows the events until ctx ends, which it does not report as an error, and writes a
// delivery for each that a person should hear of: one log entry, none for any other event
// and none while the tenant has no settings. Run it on the leader, under fsm.FencedBy. What
// happened before it ran for the first time is past.
func (r *Room) Read(ctx context.Context) error {
	err := r.db.Update(ctx, func(tx *fsm.Tx) error { return event.SkipToEnd(tx, readerName) })
	if err != nil {
		return fmt.Errorf("follow events as %s: %w", readerName, err)
	}
	return event.Follow(ctx, r.db, readerName, r.hear)
}

func (r *Room) hear(ctx context.Context, entry *fsm.JournalEntry[event.Event]) error {
	e := event.Read(entry)
	var due []Delivery
	var seen *browser
	// Outside the Update, so that these reads are not verified and disturb nobody.
	err := r.db.View(ctx, func(tx *fsm.Tx) (err error) {
		due, seen, err = r.calledFor(tx, &e)
		return err
	})
	if err != nil {
		return err
	}
	if n := noticeOf(&e); n != nil && n.letter == letter.RecoveryStarted && r.cfg.Warn != nil {
		r.cfg.Warn(e.Tenant, n.user, e.ID)
	}
	if len(due) == 0 && seen == nil {
		return nil
	}
	err = r.db.Update(ctx, func(tx *fsm.Tx) error {
		if seen != nil {
			if err := seen.put(tx); err != nil {
				return err
			}
		}
		for i := range due {
			if err := insert(tx, due[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write mail deliveries: %w", err)
	}
	return nil
}

// calledFor returns the deliveries that an event calls for, and the browser that is to be
// remembered.
func (r *Room) calledFor(tx *fsm.Tx, e *event.Event) (due []Delivery, seen *browser, err error) {
	n := noticeOf(e)
	if e.Type == event.SessionStarted {
		if n, seen, err = lookAtSignIn(tx, e); err != nil {
			return nil, nil, err
		}
	}
	if n == nil {
		return nil, seen, nil
	}
	if n.letter == letter.Impersonated {
		if a, _, err := settings.Get(tx, e.Tenant); err != nil || a.QuietImpersonation {
			return nil, seen, err
		}
	}
	state, err := r.State(tx, e.Tenant)
	if err != nil || state == StateNone {
		return nil, seen, err
	}
	to, err := n.addresses(tx, e.Tenant)
	if err != nil || len(to) == 0 {
		return nil, nil, err
	}
	for _, address := range to {
		if _, err := post.ParseAddress("to", address); err != nil {
			continue // none, or one that mail cannot go to
		}
		d := Delivery{
			Tenant: e.Tenant, UserID: n.user, Invitation: n.invitation, To: address, Letter: n.letter, Event: e.ID, Kind: n.kind, What: identity.Printable(n.what, maxFact),
			Browser: browserName(e.Request.UserAgent), IP: e.Request.IP, When: e.Time.UnixMilli(),
		}
		if d.Scopes = n.scopes; !n.until.IsZero() {
			d.Until = n.until.UnixMilli()
		}
		if n.hidden {
			d.Browser, d.IP = "", ""
		}
		if d.ID, err = deliveryID(e.ID, n.letter, address); err != nil {
			return nil, nil, err
		}
		due = append(due, d)
	}
	return due, seen, nil
}

// addresses are those that a notice goes to; none if its user is gone.
func (n *notice) addresses(tx *fsm.Tx, tenant string) ([]string, error) {
	if n.invitation != "" {
		return []string{n.to}, nil
	}
	u, _, err := directory.GetUser(tx, tenant, n.user)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n.former != "" && n.former != u.Email {
		return []string{u.Email, n.former}, nil
	}
	return []string{u.Email}, nil
}

// insert adds d unless it is there: then the event was heard before.
func insert(tx *fsm.Tx, d Delivery) error {
	has, err := deliveries.Has(tx, fsm.Scope(d.Tenant), fsm.K(d.ID))
	if err != nil || has {
		return err
	}
	d.Created = tx.Now().UnixMilli()
	d.schedule(tx.Now())
	err = deliveries.Insert(tx, &d)
	if errors.Is(err, fsm.ErrExists) {
		return nil
	}
	return err
}

// dispatchOf returns all that is needed to send a delivery now.
func (r *Room) dispatchOf(tx *fsm.Tx, d *Delivery) (dispatch, error) {
	t, err := r.cfg.Tenant(tx, d.Tenant)
	if err != nil {
		return dispatch{}, err
	}
	if d.Invitation != "" {
		return r.invitation(tx, t, d)
	}
	u, _, err := directory.GetUser(tx, d.Tenant, d.UserID)
	if err != nil {
		return dispatch{}, err
	}
	out := dispatch{
		tenant: t, id: d.ID, letter: d.Letter, to: post.Address{Name: u.Name, Mailbox: d.To}, locale: u.Locale,
		data: letter.Data{Kind: d.Kind, What: d.What, Scopes: strings.Fields(d.Scopes), Browser: d.Browser, IP: d.IP, When: time.UnixMilli(d.When)},
	}
	if d.Until != 0 {
		out.data.Until = time.UnixMilli(d.Until)
	}
	// To a new address comes no link: it may be nobody's of the account, and would spend that of the former one.
	if taken := d.Letter == letter.EmailChanged && strings.EqualFold(d.To, d.What); r.cfg.Alarm != nil && !taken {
		if out.data.Alarm, err = r.cfg.Alarm(t, d.UserID, d.Event); err != nil {
			return dispatch{}, err
		}
	}
	return out, nil
}

// invitation is dispatchOf for one. One that was taken back, or accepted meanwhile, is gone.
func (r *Room) invitation(tx *fsm.Tx, t identity.Tenant, d *Delivery) (dispatch, error) {
	if r.cfg.Invitation == nil {
		return dispatch{}, fsm.ErrNotFound
	}
	i, err := r.cfg.Invitation(tx, t, d.Invitation)
	if err != nil {
		return dispatch{}, err
	}
	return dispatch{
		tenant: t, id: d.ID, letter: d.Letter, to: post.Address{Name: i.Name, Mailbox: d.To}, locale: i.Locale,
		data: letter.Data{Link: i.Link, Until: i.Until},
	}, nil
}
