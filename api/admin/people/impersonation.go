package people

import (
	"cmp"
	"net/http"
	"time"
)

func (a *api) impersonations() []route {
	return []route{
		{Method: "POST", Path: "/users/{id}/impersonation", Op: "impersonateUser", Summary: "Get a link by which the token's user can act as another, once, if the tenant's settings allow it. The link is in this answer only.", Status: http.StatusCreated, Do: handle(a.impersonate)},
	}
}

type impersonationWish struct {
	Reason  string `json:"reason" required:"true" min:"1" max:"200" example:"Ticket 4711: the person cannot open the wiki" doc:"Why. It is on record, and the person is told it."`
	Minutes int64  `json:"minutes" min:"0" max:"60" example:"15" doc:"How long the session lasts at most, once it has begun; 0: half an hour."`
}

type impersonationLink struct {
	URL       string    `json:"url" doc:"The link. Whoever opens it acts as the user, in the name of whoever asked for it."`
	ExpiresAt time.Time `json:"expires_at" doc:"When the link stops working, if it is not used before."`
	Minutes   int64     `json:"minutes" doc:"How long the session lasts at most."`
}

type impersonateIn struct {
	byID
	Body impersonationWish
}

func (a *api) impersonate(c *call, in *impersonateIn) (*impersonationLink, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	life := time.Duration(cmp.Or(in.Body.Minutes, 30)) * time.Minute
	ticket, o, err := a.cfg.Offers.Make(c.Ctx, c.Tenant.ID, in.ID, in.Body.Reason, life)
	if err != nil {
		return nil, err
	}
	return &impersonationLink{URL: c.Tenant.Issuer + "/impersonate/" + ticket, ExpiresAt: o.Until, Minutes: int64(o.Life / time.Minute)}, nil
}
