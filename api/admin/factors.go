package admin

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
)

func (a *API) factors() []route {
	return []route{
		{Method: "GET", Path: "/users/{id}/factors", Op: "listUserFactors", Summary: "List how a user proves who they are, besides the password.", Do: handle(a.listFactors)},
		{Method: "DELETE", Path: "/users/{id}/factors", Op: "resetUserFactors", Summary: "Remove all of a user's factors, for one who has lost them; the password stays.", Do: handle(a.resetFactors)},
		{Method: "DELETE", Path: "/users/{id}/factors/{factor}", Op: "resetUserFactor", Summary: "Remove one factor of a user; the trust in all devices ends with it.", Do: handle(a.resetFactor)},
		{Method: "GET", Path: "/users/{id}/devices", Op: "listUserDevices", Summary: "List the devices that a user is trusted in without a second factor, oldest first.", Do: handle(a.listDevices)},
		{Method: "DELETE", Path: "/users/{id}/devices", Op: "revokeUserDevices", Summary: "End the trust in all devices of a user.", Do: handle(a.revokeDevices)},
		{Method: "DELETE", Path: "/users/{id}/devices/{device}", Op: "revokeUserDevice", Summary: "End the trust in one device of a user.", Do: handle(a.revokeDevice)},
	}
}

type factor struct {
	ID         string     `json:"id" doc:"otp_…, rec_…, pky_…, apb_… or crt_…" example:"otp_01jc8q2v7m3k5t9w0x4y6z8a1b"`
	Type       string     `json:"type" enum:"totp|recovery_codes|passkey|approver|certificate" doc:"What it is: an authenticator app, a set of recovery codes, a passkey or security key, a browser in which the user may approve sign-ins, or a certificate that was added."`
	Name       string     `json:"name" example:"Phone" doc:"What the user calls it; empty for recovery codes."`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was added."`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"When it last signed somebody in; absent: not yet."`
	Left       *int       `json:"left,omitempty" doc:"Of recovery codes: how many have not been used."`
	Passkey    *aPasskey  `json:"passkey,omitempty" doc:"Of passkeys: what kind it is."`
}

type aPasskey struct {
	Model    string     `json:"aaguid" example:"cb69481e-8ff7-4039-93ec-0a2729a154a8" doc:"AAGUID of the make; all zeros if it does not tell."`
	Make     string     `json:"make" example:"YubiKey 5 Series" doc:"What FIDO metadata called it when it was added; may be empty."`
	Synced   bool       `json:"synced" doc:"Whether it may be copied to other devices."`
	Attested bool       `json:"attested" doc:"Whether its make was verified by FIDO metadata when it was added."`
	Suspect  *time.Time `json:"suspect_since,omitempty" doc:"Since when it is refused because there may be a copy of it."`
}

func (factor) SchemaName() string { return "Factor" }

// A factorKind is one sort of factor, known by the prefix of its IDs.
type factorKind struct {
	prefix string
	list   func(tx *fsm.Tx, tenant, user string) ([]factor, error)
	remove func(tx *fsm.Tx, tenant, user, id string) error
}

var factorKinds = []factorKind{
	{identity.PrefixTOTP, listApps, totp.Remove},
	{identity.PrefixRecovery, listRecovery, removeRecovery},
	{identity.PrefixPasskey, listPasskeys, passkey.Delete},
	{identity.PrefixApprover, listApprovers, approval.Remove},
	{identity.PrefixCertificate, listCertificates, certificate.Delete},
}

func listPasskeys(tx *fsm.Tx, tenant, user string) (out []factor, err error) {
	for k, err := range passkey.List(tx, tenant, user) {
		if err != nil {
			return nil, err
		}
		out = append(out, factor{
			ID: k.ID, Type: "passkey", Name: k.Name, CreatedAt: k.Created, LastUsedAt: ever(k.LastUsed),
			Passkey: &aPasskey{k.Model(), k.Make, k.Synced, k.Attested, ever(k.Suspect)},
		})
	}
	return out, nil
}

// listCertificates leaves out those that only rules make the user's: nobody could take them away here.
func listCertificates(tx *fsm.Tx, tenant, user string) (out []factor, err error) {
	all, err := certificate.Of(tx, tenant, user)
	for _, c := range all {
		if c.By != "" {
			out = append(out, factor{ID: c.ID, Type: "certificate", Name: cmp.Or(c.Name, c.Title), CreatedAt: c.Created, LastUsedAt: ever(c.LastUsed)})
		}
	}
	return out, err
}

func listApps(tx *fsm.Tx, tenant, user string) ([]factor, error) {
	all, err := totp.List(tx, tenant, user)
	var out []factor
	for _, app := range all {
		out = append(out, factor{ID: app.ID, Type: "totp", Name: app.Name, CreatedAt: app.Created, LastUsedAt: ever(app.LastUsed)})
	}
	return out, err
}

func listApprovers(tx *fsm.Tx, tenant, user string) ([]factor, error) {
	all, err := approval.List(tx, tenant, user)
	var out []factor
	for _, b := range all {
		out = append(out, factor{ID: b.ID, Type: "approver", Name: b.Name, CreatedAt: b.Created, LastUsedAt: ever(b.LastUsed)})
	}
	return out, err
}

func listRecovery(tx *fsm.Tx, tenant, user string) ([]factor, error) {
	s, err := recovery.Get(tx, tenant, user)
	if err != nil || s == nil {
		return nil, err
	}
	left := s.Left()
	return []factor{{ID: s.ID, Type: "recovery_codes", CreatedAt: s.Created, LastUsedAt: ever(s.LastUsed), Left: &left}}, nil
}

func removeRecovery(tx *fsm.Tx, tenant, user, id string) error {
	s, err := recovery.Get(tx, tenant, user)
	if err != nil {
		return err
	}
	if s == nil || s.ID != id {
		return noFactor()
	}
	return recovery.Remove(tx, tenant, user)
}

func noFactor() error { return identity.NotFound("This user has no such factor.") }

// ever is a time that may not have come.
func ever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// factorsOf lists what a user has, of whom it makes sure that there is one.
func factorsOf(tx *fsm.Tx, tenant, user string) ([]factor, error) {
	if _, _, err := directory.GetUser(tx, tenant, user); err != nil {
		return nil, err
	}
	var all []factor
	for _, k := range factorKinds {
		some, err := k.list(tx, tenant, user)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func removeFactor(tx *fsm.Tx, tenant, user, id string) error {
	prefix, _, _ := strings.Cut(id, "_")
	i := slices.IndexFunc(factorKinds, func(k factorKind) bool { return k.prefix == prefix })
	if i < 0 {
		return noFactor()
	}
	return factorKinds[i].remove(tx, tenant, user, id)
}

func (a *API) listFactors(c *call, in *byID) (*page[factor], error) {
	var rows []factor
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, err = factorsOf(tx, c.Tenant.ID, in.ID)
		return err
	})
	return show(rows, "", func(f *factor) factor { return *f }), err
}

type resetFactorIn struct {
	byID
	Factor string `path:"factor" max:"128" doc:"ID of the factor." example:"otp_01jc8q2v7m3k5t9w0x4y6z8a1b"`
}

func (a *API) resetFactor(c *call, in *resetFactorIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := regain.Single(tx, c.Tenant.ID); err != nil {
			return err
		}
		return removeFactor(tx, c.Tenant.ID, in.ID, in.Factor)
	})
}

func (a *API) resetFactors(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := regain.Single(tx, c.Tenant.ID); err != nil {
			return err
		}
		all, err := factorsOf(tx, c.Tenant.ID, in.ID)
		for _, f := range all {
			if err := removeFactor(tx, c.Tenant.ID, in.ID, f.ID); err != nil {
				return err
			}
		}
		return err
	})
}

type trustedDevice struct {
	ID         string     `json:"id" doc:"dev_…" example:"dev_01jc8q2v7m3k5t9w0x4y6z8a1b"`
	Name       string     `json:"name" example:"Firefox on Linux" doc:"Which browser it is, in words."`
	CreatedAt  time.Time  `json:"created_at" doc:"When the user chose to trust it."`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"When it last stood for a second factor; absent: not yet."`
	ExpiresAt  time.Time  `json:"expires_at" doc:"When the trust ends by itself."`
}

func (trustedDevice) SchemaName() string { return "TrustedDevice" }

func showDevice(d *device.Device) trustedDevice {
	return trustedDevice{ID: d.ID, Name: d.Name, CreatedAt: d.Created, LastUsedAt: ever(d.LastUsed), ExpiresAt: d.Expires}
}

func (a *API) listDevices(c *call, in *byID) (*page[trustedDevice], error) {
	var rows []device.Device
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		rows, err = device.List(tx, c.Tenant.ID, in.ID)
		return err
	})
	return show(rows, "", showDevice), err
}

type revokeDeviceIn struct {
	byID
	Device string `path:"device" max:"64" doc:"ID of the device." example:"dev_01jc8q2v7m3k5t9w0x4y6z8a1b"`
}

func (a *API) revokeDevice(c *call, in *revokeDeviceIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return device.Revoke(tx, c.Tenant.ID, in.ID, in.Device)
	})
}

func (a *API) revokeDevices(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		_, err := device.RevokeAll(tx, c.Tenant.ID, in.ID, "revoked by an administrator")
		return err
	})
}
