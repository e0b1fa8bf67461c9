package authentication

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
)

// metadataTime is how long a metadata BLOB may take to arrive and to be stored.
const metadataTime = 5 * time.Minute

func (a *api) metadata() []route {
	const path = "/passkeys/metadata"
	return []route{
		{Method: "GET", Path: path, Needs: dispatch.OfInstallation, Op: "getPasskeyMetadata", Summary: "Which FIDO metadata are in use, by which makes of passkeys are verified.", Do: handle(a.getMetadata)},
		{Method: "PUT", Path: path, Needs: dispatch.OfInstallation, Op: "importPasskeyMetadata", Summary: "Import FIDO metadata: the body of the request is the file from https://mds3.fidoalliance.org as it is.", Do: dispatch.Streaming(a.importMetadata)},
	}
}

type metadataStatus struct {
	Number       int       `json:"number" doc:"Serial number that FIDO gave them." example:"142"`
	NextUpdateAt time.Time `json:"next_update_at" doc:"When FIDO publishes newer ones."`
	Due          bool      `json:"due" doc:"Whether that day has passed: import the newest."`
	ImportedAt   time.Time `json:"imported_at" doc:"When they were imported."`
	Models       int       `json:"models" doc:"How many makes of authenticators they describe." example:"312"`
	Skipped      int       `json:"skipped" doc:"Entries of other protocols, or that could not be read." example:"40"`
	SHA256       string    `json:"sha256" doc:"SHA-256 of the file."`
}

func (metadataStatus) SchemaName() string { return "PasskeyMetadata" }

func showMetadata(m *passkey.Metadata, now time.Time) *metadataStatus {
	return &metadataStatus{
		Number: m.Number, NextUpdateAt: m.NextUpdate, Due: now.After(m.NextUpdate), ImportedAt: m.Imported,
		Models: m.Models, Skipped: m.Skipped, SHA256: hex.EncodeToString(m.SHA256),
	}
}

func (a *api) getMetadata(c *call, _ *struct{}) (out *metadataStatus, err error) {
	err = a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		m, err := passkey.CurrentMetadata(tx)
		if errors.Is(err, fsm.ErrNotFound) {
			return identity.NotFound("No FIDO metadata have been imported. `quis passkey metadata import FILE` does it.")
		}
		if err == nil {
			out = showMetadata(m, tx.Now())
		}
		return err
	})
	return out, err
}

func (a *api) importMetadata(c *call, _ *struct{}, w http.ResponseWriter) error {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return err
	}
	until := time.Now().Add(metadataTime)
	deadline := http.NewResponseController(w)
	if err := errors.Join(deadline.SetReadDeadline(until), deadline.SetWriteDeadline(until)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	blob, err := io.ReadAll(http.MaxBytesReader(w, c.R.Body, passkey.MaxMetadata))
	if err != nil {
		return &identity.Error{Kind: identity.ErrInvalid, Detail: "The file is larger than metadata may be, or did not arrive whole."}
	}
	roots, err := passkey.FIDORoots()
	if err != nil {
		return err
	}
	m, err := passkey.ParseMetadata(blob, roots, time.Now())
	if err != nil {
		return err
	}
	if err := m.Import(c.Ctx, a.cfg.DB); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(showMetadata(m, time.Now()))
}
