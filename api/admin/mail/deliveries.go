package mail

import (
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/notify"
)

func (a *api) deliveries() []route {
	return []route{
		{Method: "GET", Path: "/mail/deliveries", Op: "listMailDeliveries", Summary: "List the notices of the last week, newest first. Codes and links that people asked for are not among them: they leave no trace.", Do: handle(a.listDeliveries)},
		{Method: "POST", Path: "/mail/deliveries/{id}/retry", Op: "retryMailDelivery", Summary: "Send a notice again, now.", Do: handle(a.retryDelivery)},
	}
}

type delivery struct {
	ID          string     `json:"id" doc:"mai_…: also the left part of the Message-ID."`
	UserID      string     `json:"user_id,omitempty" doc:"Whom it is for."`
	Invitation  string     `json:"invitation_id,omitempty" doc:"What it invites to, where it is for somebody who is no user yet."`
	To          string     `json:"to" doc:"Address that it goes to."`
	Letter      string     `json:"letter" doc:"Which letter; see the templates."`
	EventID     string     `json:"event_id" doc:"What it tells of."`
	State       string     `json:"state" enum:"pending|done|failed" doc:"Whether it is on its way, was taken by the mail server, or was given up."`
	Attempts    int        `json:"attempts" doc:"How often it was tried."`
	Status      string     `json:"status,omitempty" doc:"What came of the last attempt."`
	AttemptedAt *time.Time `json:"attempted_at,omitempty" doc:"When that was."`
	NextAt      *time.Time `json:"next_at,omitempty" doc:"When it will be tried again."`
	CreatedAt   time.Time  `json:"created_at" doc:"When the event was heard of."`
}

func (delivery) SchemaName() string { return "MailDelivery" }

func showDelivery(d *notify.Delivery) delivery {
	return delivery{
		ID: d.ID, UserID: d.UserID, Invitation: d.Invitation, To: d.To, Letter: string(d.Letter), EventID: d.Event, State: d.State, Attempts: d.Attempts, Status: d.Status,
		AttemptedAt: moment(d.Attempted), NextAt: moment(d.Next), CreatedAt: time.UnixMilli(d.Created).UTC(),
	}
}

// moment is nil for a time that there is not.
func moment(milliseconds int64) *time.Time {
	if milliseconds == 0 {
		return nil
	}
	t := time.UnixMilli(milliseconds).UTC()
	return &t
}

type listDeliveriesIn struct {
	pageIn
	State string `query:"state" enum:"pending|done|failed|" doc:"Only those in this state: failed ones are dead letters."`
}

func (a *api) listDeliveries(c *call, in *listDeliveriesIn) (*page[delivery], error) {
	var rows []notify.Delivery
	var next string
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = notify.ListDeliveries(tx, c.Tenant.ID, in.State, in.After, in.Count())
		return err
	})
	return show(rows, next, showDelivery), err
}

func (a *api) retryDelivery(c *call, in *byID) (*delivery, error) {
	var out delivery
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		d, err := notify.RetryDelivery(tx, c.Tenant.ID, in.ID)
		if err == nil {
			out = showDelivery(d)
		}
		return err
	})
	return &out, err
}
