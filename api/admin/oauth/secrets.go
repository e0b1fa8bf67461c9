package oauth

import (
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
)

func (a *api) secrets() []route {
	return []route{
		{Method: "POST", Path: "/applications/{id}/regenerate-secret", Op: "regenerateSecret", Summary: "Make a new client secret. It is in this answer only.", Tagged: true, Do: handle(a.regenerateSecret)},
		{Method: "GET", Path: "/applications/{id}/secrets", Op: "listSecrets", Summary: "List the live client secrets, newest first, without their values.", Do: handle(a.listSecrets)},
		{Method: "DELETE", Path: "/applications/{id}/secrets/{secret}", Op: "deleteSecret", Summary: "End one of two live client secrets now.", Do: handle(a.deleteSecret)},
	}
}

type regenerateOptions struct {
	KeepPrevious      bool  `json:"keep_previous" doc:"Whether the newest of the former secrets goes on working beside the new one, until the next time. By default all former ones stop at once."`
	PreviousExpiresIn int64 `json:"previous_expires_in" min:"0" max:"31536000" doc:"With keep_previous: seconds after which the former one ends by itself; 0: it does not."`
}

type regenerateIn struct {
	byID
	Body regenerateOptions `required:"false"`
}

func (a *api) regenerateSecret(c *call, in *regenerateIn) (*application, error) {
	if in.Body.KeepPrevious && in.Body.PreviousExpiresIn > 0 { // an older member would take the former one for ever
		if err := a.cfg.Modern(c.Ctx); err != nil {
			return nil, err
		}
	}
	var secret string
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) (err error) {
		secret, err = federation.RotateSecret(tx, a.cfg.Ring, c.Tenant.ID, in.ID, "", in.Body.KeepPrevious, time.Duration(in.Body.PreviousExpiresIn)*time.Second)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.readApplication(c, in.ID, secret)
}

// A clientSecret is shown without its value, which nobody has but the application.
type clientSecret struct {
	ID        string     `json:"id" example:"sec_9f86d081884c7d65" doc:"sec_…"`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it ends by itself."`
}

func (a *api) listSecrets(c *call, in *byID) (*page[clientSecret], error) {
	var p *federation.Application
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		p, _, err = federation.Get(tx, c.Tenant.ID, in.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return show(p.Secrets, "", func(s *federation.Secret) clientSecret {
		out := clientSecret{ID: s.ID(), CreatedAt: s.Created}
		if !s.Expires.IsZero() {
			out.ExpiresAt = &s.Expires
		}
		return out
	}), nil
}

type bySecret struct {
	byID
	Secret string `path:"secret" max:"64" doc:"ID of the client secret."`
}

func (a *api) deleteSecret(c *call, in *bySecret) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return federation.EndSecret(tx, c.Tenant.ID, in.ID, in.Secret)
	})
}
