package factor

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential/device"
)

const devicesPath = securityPath + "/devices"

// devices is the section of trusted devices.
type devices struct{ Config }

// Card lists the devices; there is none where none is trusted.
func (s *devices) Card(tx *fsm.Tx, r *http.Request, v *portal.Visitor) (portal.Card, error) {
	all, err := device.List(tx, v.Tenant, v.UserID)
	if err != nil {
		return portal.Card{}, err
	}
	c := portal.Card{Title: site.Text(r, "devices.title"), Lead: site.Text(r, "devices.lead")}
	switch {
	case v.Done == "device":
		c.Notice = site.Text(r, "devices.revoked")
	case v.Done == "devices":
		c.Notice = site.Text(r, "devices.revoked_all")
	case len(all) == 0:
		return portal.Card{}, nil
	}
	for i := len(all) - 1; i >= 0; i-- { // the latest first
		d := all[i]
		c.Rows = append(c.Rows, portal.Row{
			Name: d.Name, Facts: []string{site.Text(r, "devices.until", date(r, d.Expires)), used(r, tx.Now(), d.LastUsed)},
			Actions: []portal.Action{{
				Label: site.Text(r, "devices.revoke"), Names: site.Text(r, "devices.revoke.label", d.Name),
				Path: devicesPath, Post: true, Form: map[string]string{"device": d.ID},
			}},
		})
	}
	if len(all) > 1 {
		c.Actions = []portal.Action{{Label: site.Text(r, "devices.revoke_all"), Path: devicesPath, Post: true, Form: map[string]string{"all": "yes"}}}
	}
	return c, nil
}

// Routes mounts what the buttons of the card lead to.
func (s *devices) Routes(handle, _ portal.Mount) {
	handle("POST "+devicesPath, s.revoke)
}

// revoke ends the trust in one device, or in all. One that is gone is as wanted.
func (s *devices) revoke(w http.ResponseWriter, r *http.Request, v *portal.Visitor) error {
	f, err := page.Form(r)
	if err != nil {
		return err
	}
	done := "device"
	err = v.Update(r.Context(), func(tx *fsm.Tx) error {
		if f.Get("all") == "yes" {
			done = "devices"
			_, err := device.RevokeAll(tx, v.Tenant, v.UserID, "")
			return err
		}
		return device.Revoke(tx, v.Tenant, v.UserID, f.Get("device"))
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	return page.Onward(w, r, page.Base(r)+securityPath+"?done="+done)
}
