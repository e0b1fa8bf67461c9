package certificates

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
)

func (a *api) lists() []route {
	const path = "/certificate-authorities/{id}/revocation-list"
	return []route{
		{Method: "PUT", Path: path, Op: "uploadRevocationList", Summary: "Upload the authority's list of what it has revoked: the body of the request is the list in DER or PEM. It counts beyond its time for what is on it.", Do: dispatch.Streaming(a.upload)},
		{Method: "DELETE", Path: path, Op: "deleteRevocationList", Summary: "Forget the list that was uploaded.", Do: handle(a.withdraw)},
	}
}

type revocations struct {
	Number     string    `json:"number" example:"7" doc:"Number that the authority gave it; may be empty."`
	Revoked    int       `json:"revoked" example:"2" doc:"How many certificates are on it."`
	UpdatedAt  time.Time `json:"updated_at" doc:"When the authority made it."`
	NextUpdate time.Time `json:"next_update_at" doc:"When there is a newer one; what is not on it counts as unchecked from then on."`
	UploadedAt time.Time `json:"uploaded_at" doc:"When it was uploaded."`
	Due        bool      `json:"due" doc:"Whether a newer one should have been uploaded."`
}

func (revocations) SchemaName() string { return "RevocationList" }

func showList(l *certificate.Revocations, now time.Time) revocations {
	return revocations{Number: l.Number, Revoked: l.Revoked, UpdatedAt: l.ThisUpdate, NextUpdate: l.NextUpdate, UploadedAt: l.Uploaded, Due: !now.Before(l.NextUpdate)}
}

func (a *api) upload(c *call, in *byID, w http.ResponseWriter) error {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, c.R.Body, certificate.MaxUpload))
	if err != nil {
		return &identity.Error{Kind: identity.ErrInvalid, Detail: "The list is larger than an uploaded one may be, or did not arrive whole. Publish it at an address instead, and set crl_url."}
	}
	list, err := certificate.ParseList(text)
	if err != nil {
		return err
	}
	var out revocations
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		head, err := certificate.Upload(tx, c.Tenant.ID, in.ID, list)
		if err == nil {
			out = showList(head, tx.Now())
		}
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(out)
}

func (a *api) withdraw(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return certificate.Withdraw(tx, c.Tenant.ID, in.ID) })
}
