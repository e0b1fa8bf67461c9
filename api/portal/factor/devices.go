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
	case v.Done == "device-renamed":
		c.Notice = site.Text(r, "apps.renamed")
	case v.Done == "devices":
		c.Notice = site.Text(r, "devices.revoked_all")
	case len(all) == 0:
		return portal.Card{}, nil
	}
	for i := len(all) - 1; i >= 0; i-- { // the latest first
		d := all[i]
		c.Rows = append(c.Rows, portal.Row{
			Name: d.Name, Facts: []string{site.Text(r, "devices.until", date(r, d.Expires)), used(r, tx.Now(), d.LastUsed)},
			Actions: []portal.Action{{Label: site.Text(r, "apps.change"), Names: site.Text(r, "apps.change.label", d.Name), Path: devicesPath + "/" + d.ID}, {
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

// Routes mounts what the links and buttons of the card lead to.
func (s *devices) Routes(handle, _ portal.Mount) {
	handle("POST "+devicesPath, s.revoke)
	handle("GET "+devicesPath+"/{id}", portal.AskName(s.naming))
	handle("POST "+devicesPath+"/{id}", portal.TakeName(s.naming))
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

// naming is for another name of the device of the path, or fsm.ErrNotFound.
func (s *devices) naming(r *http.Request, v *portal.Visitor) (n portal.Naming, err error) {
	err = s.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		d, err := device.Get(tx, v.Tenant, v.UserID, r.PathValue("id"))
		if err == nil {
			n = portal.Naming{Path: devicesPath + "/" + d.ID, Called: d.Name, Name: d.Name, Hint: site.Text(r, "devices.hint"), Done: "device-renamed"}
			n.Rename = func(tx *fsm.Tx, name string) error { return device.Rename(tx, v.Tenant, v.UserID, d.ID, name) }
		}
		return err
	})
	return n, err
}
