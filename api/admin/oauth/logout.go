package oauth

import (
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) logoutDeliveries() []route {
	return []route{
		{Method: "GET", Path: "/applications/{id}/logout-deliveries", Op: "listLogoutDeliveries", Summary: "List the back-channel logout tokens of the last week for an application, newest first.", Do: handle(a.listLogoutDeliveries)},
		{Method: "POST", Path: "/applications/{id}/logout-deliveries/{delivery}/retry", Op: "retryLogoutDelivery", Summary: "Send a logout token again, now.", Do: handle(a.retryLogoutDelivery)},
	}
}

type logoutDelivery struct {
	ID          string     `json:"id" doc:"lgo_…: the jti of the token, at each attempt."`
	UserID      string     `json:"user_id" doc:"Who signed out."`
	SessionID   string     `json:"session_id,omitempty" doc:"Of which session; empty: of all."`
	State       string     `json:"state" enum:"pending|done|failed" doc:"Whether it is on its way, was taken, or was given up."`
	Attempts    int        `json:"attempts" doc:"How often it was tried."`
	Status      string     `json:"status,omitempty" doc:"What came of the last attempt."`
	AttemptedAt *time.Time `json:"attempted_at,omitempty" doc:"When that was."`
	NextAt      *time.Time `json:"next_at,omitempty" doc:"When it will be tried again."`
	CreatedAt   time.Time  `json:"created_at" doc:"When the sign-out was heard of."`
}

func showDelivery(d *logout.Delivery) logoutDelivery {
	return logoutDelivery{
		ID: d.ID, UserID: d.UserID, SessionID: d.SessionID, State: d.State, Attempts: d.Attempts, Status: d.Status,
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
	byID
	pageIn
}

func (a *api) listLogoutDeliveries(c *call, in *listDeliveriesIn) (*page[logoutDelivery], error) {
	var rows []logout.Delivery
	var next string
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		if _, _, err := federation.Get(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		rows, next, err = logout.List(tx, c.Tenant.ID, in.ID, in.After, in.Count())
		return err
	})
	return show(rows, next, showDelivery), err
}

type retryDeliveryIn struct {
	byID
	Delivery string `path:"delivery" max:"64" doc:"ID of the delivery."`
}

func (a *api) retryLogoutDelivery(c *call, in *retryDeliveryIn) (*logoutDelivery, error) {
	var out logoutDelivery
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		d, err := logout.Retry(tx, c.Tenant.ID, in.ID, in.Delivery)
		if err == nil {
			out = showDelivery(d)
		}
		return err
	})
	return &out, err
}
