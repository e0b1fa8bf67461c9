package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/keys"
)

type rotateFunc = func(ctx context.Context, tenant string, alg keys.Alg) error

func (a *API) installation() []route {
	return []route{
		{Method: "POST", Path: "/setup-link", Needs: ofInstallation, Op: "createSetupLink", Summary: "Make a one-time link by which a person becomes admin of the default tenant.", Status: http.StatusCreated, Do: handle(a.createSetupLink)},
	}
}

type setupLink struct {
	URL       string    `json:"url" doc:"Open it in a browser; it works once."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it stops working."`
	Replaced  bool      `json:"replaced" doc:"Whether an earlier link still worked, which does no longer."`
}

func (a *API) createSetupLink(c *call, _ *none) (*setupLink, error) {
	var out setupLink
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		secret, replaced, err := credential.CreateSetup(tx)
		out.Replaced, out.URL, out.ExpiresAt = replaced, a.cfg.PublicURL+"/setup/"+secret, tx.Now().Add(credential.SetupLifetime)
		return err
	})
	return &out, err
}
