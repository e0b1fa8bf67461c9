package logout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event/courier"
)

// attemptTime is what an application has to answer, connecting included.
const attemptTime = 5 * time.Second

// attempt sends one delivery. Whatever goes wrong with one of them, the others go on.
func (r *Room) attempt(ctx context.Context, i courier.Item) (o courier.Outcome) {
	o.Item = i
	defer func() {
		if p := recover(); p != nil {
			r.cfg.Logger.ErrorContext(ctx, "logout token not sent", "delivery", i.Key, "panic", p)
			o.OK, o.Status = false, "An error of the server itself; see its log."
		}
	}()
	d, app, t, err := r.look(ctx, i)
	switch {
	case errors.Is(err, errNotDue):
		o.Void = true
		return o
	case errors.Is(err, errGone), errors.Is(err, fsm.ErrNotFound):
		o.Final, o.Status = true, "The application is gone or no longer asks for logout tokens."
		return o
	case err != nil:
		o.Status = "The state could not be read."
		return o
	}
	began := time.Now()
	r.post(identity.WithTenant(ctx, t), d, app, &o)
	r.metrics.took.Observe(time.Since(began).Seconds())
	o.Void = !o.OK && ctx.Err() != nil // cut short by our own leaving
	return o
}

// look reads what an attempt needs as it is now: the address may have changed since.
func (r *Room) look(ctx context.Context, i courier.Item) (d *Delivery, app *federation.Application, t identity.Tenant, err error) {
	err = r.db.View(ctx, func(tx *fsm.Tx) error {
		if d, err = deliveries.Get(tx, i.Scope, i.Key); err != nil {
			return err
		}
		if d.State != Pending || d.Next > r.db.Now().UnixMilli() {
			return errNotDue
		}
		if app, _, err = federation.Get(tx, d.Tenant, d.Application); err != nil {
			return err
		}
		if app.Logout.BackchannelURI == "" {
			return errGone
		}
		t, err = r.cfg.Tenant(tx, d.Tenant)
		return err
	})
	return d, app, t, err
}

func (r *Room) post(ctx context.Context, d *Delivery, app *federation.Application, o *courier.Outcome) {
	token, err := r.cfg.Token(ctx, app, d.UserID, d.SessionID, d.ID)
	if err != nil {
		r.cfg.Logger.WarnContext(ctx, "logout token not signed", "delivery", d.ID, "application", d.Application, "error", err)
		o.Status = "The token could not be signed."
		return
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	receipt, err := r.cfg.Post(ctx, app.Logout.BackchannelURI, fetch.Message{
		Name: "logout token", Type: "application/x-www-form-urlencoded", Body: []byte(url.Values{"logout_token": {token}}.Encode()),
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		o.Status = fmt.Sprintf("No answer within %d seconds.", attemptTime/time.Second)
	case err != nil:
		o.Status = identity.Printable(err.Error(), maxStatus)
	default:
		// 204 is what frameworks answer to an empty success (Back-Channel Logout, section 2.8).
		o.OK = receipt.Status == http.StatusOK || receipt.Status == http.StatusNoContent
		o.Status = fmt.Sprintf("HTTP %d %s", receipt.Status, http.StatusText(receipt.Status))
		o.Wait = min(receipt.RetryAfter, courier.LongestPause)
	}
}
