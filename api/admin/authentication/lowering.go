package authentication

import (
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/settings"
)

func (a *api) lowering() []route {
	const path = "/settings/authentication/lowering"
	return []route{
		{Method: "GET", Path: path, Op: "getLowering", Summary: "Get what waits for a second administrator to agree: that recovery.two_person be switched off.", Do: handle(a.getLowering)},
		{Method: "POST", Path: path, Op: "askLowering", Summary: "Ask that recovery.two_person be switched off, which another administrator has to approve within seven days. It takes the place of what waited.", Status: http.StatusCreated, Do: handle(a.askLowering)},
		{Method: "POST", Path: path + "/approve", Op: "approveLowering", Summary: "Approve what another administrator has asked for: recovery.two_person is switched off. Who became an administrator within the last day, by another user, does not count as one of two.", Do: handle(a.approveLowering)},
		{Method: "DELETE", Path: path, Op: "cancelLowering", Summary: "Take back what waits for a second administrator.", Do: handle(a.cancelLowering)},
	}
}

type lowering struct {
	ID        string         `json:"id" example:"low_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"low_…"`
	CreatedBy dispatch.Acted `json:"created_by" doc:"Who asked for it."`
	CreatedAt time.Time      `json:"created_at" doc:"When."`
	ExpiresAt time.Time      `json:"expires_at" doc:"Until when it can be approved."`
}

func (lowering) SchemaName() string { return "Lowering" }

func showLowering(l *settings.Lowering) *lowering {
	return &lowering{l.ID, dispatch.ActedBy(l.By), l.Begun, l.Expires}
}

func (a *api) getLowering(c *call, _ *none) (out *lowering, err error) {
	err = a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		l, err := settings.GetLowering(tx, c.Tenant.ID)
		if err == nil {
			out = showLowering(l)
		}
		return err
	})
	return out, err
}

func (a *api) askLowering(c *call, _ *none) (out *lowering, err error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		l, err := settings.AskLowering(tx, c.Tenant.ID)
		if err == nil {
			out = showLowering(l)
		}
		return err
	})
	if err == nil {
		c.Location("settings", "authentication", "lowering")
	}
	return out, err
}

type approveLoweringIn struct {
	Body loweringApproval
}

type loweringApproval struct {
	Lowering string `json:"lowering" required:"true" max:"64" example:"low_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"ID of what was asked for: what took its place meanwhile is not approved with it."`
}

func (a *api) approveLowering(c *call, in *approveLoweringIn) (*authenticationSettings, error) {
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return settings.AgreeLowering(tx, c.Tenant.ID, in.Body.Lowering) })
	if err != nil {
		return nil, err
	}
	return a.getSettings(c, &none{})
}

func (a *api) cancelLowering(c *call, _ *none) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return settings.WithdrawLowering(tx, c.Tenant.ID) })
}
