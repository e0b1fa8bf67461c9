package admin

import (
	"slices"
	"time"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

func (a *API) factors() []route {
	return []route{
		{Method: "GET", Path: "/users/{id}/factors", Op: "listUserFactors", Summary: "List how a user proves who they are, besides the password.", Do: handle(a.listFactors)},
		{Method: "DELETE", Path: "/users/{id}/factors", Op: "resetUserFactors", Summary: "Remove all of a user's factors, for one who has lost them; the password stays. Refused if nothing would be left to sign in with, unless forced.", Do: handle(a.resetFactors)},
		{Method: "DELETE", Path: "/users/{id}/factors/{factor}", Op: "resetUserFactor", Summary: "Remove one factor of a user; the trust in all devices ends with it. Refused if nothing would be left to sign in with, unless forced.", Do: handle(a.resetFactor)},
		{Method: "GET", Path: "/users/{id}/devices", Op: "listUserDevices", Summary: "List the devices that a user is trusted in without a second factor, oldest first.", Do: handle(a.listDevices)},
		{Method: "DELETE", Path: "/users/{id}/devices", Op: "revokeUserDevices", Summary: "End the trust in all devices of a user.", Do: handle(a.revokeDevices)},
		{Method: "DELETE", Path: "/users/{id}/devices/{device}", Op: "revokeUserDevice", Summary: "End the trust in one device of a user.", Do: handle(a.revokeDevice)},
	}
}

type aFactor struct {
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
	Make     string     `json:"make" example:"YubiKey 5 Series" doc:"What FIDO metadata call it; empty if they did not describe it when it was added, nor at a sign-in since."`
	Synced   bool       `json:"synced" doc:"Whether it may be copied to other devices."`
	Attested bool       `json:"attested" doc:"Whether its make was verified by FIDO metadata, when it was added or at its first sign-in after they were imported."`
	Hardware bool       `json:"hardware" doc:"Whether its make was verified and FIDO metadata say that hardware protects its key, which urn:quis:acr:aal3 takes."`
	Suspect  *time.Time `json:"suspect_since,omitempty" doc:"Since when it is refused because there may be a copy of it."`
	Refused  string     `json:"refused,omitempty" enum:"copied|denied|unsafe|unproved" doc:"Why it signs nobody in; absent: it does. copied: there may be a copy of it; denied: the tenant denies its model or allows only others; unsafe: FIDO metadata report its model; unproved: the tenant allows the model that it claims, FIDO metadata describe that, and its maker has not vouched for it."`
}

func (aFactor) SchemaName() string { return "Factor" }

// listings are how the factors of each kind are listed.
var listings = []func(tx *fsm.Tx, tenant, user string) ([]aFactor, error){listApps, listRecovery, listPasskeys, listApprovers, listCertificates}

func listPasskeys(tx *fsm.Tx, tenant, user string) (out []aFactor, err error) {
	a, _, err := settings.Get(tx, tenant)
	if err != nil {
		return nil, err
	}
	for k, err := range passkey.List(tx, tenant, user) {
		if err != nil {
			return nil, err
		}
		bar, err := passkey.Barred(tx, a.Passkey, k)
		if err != nil {
			return nil, err
		}
		out = append(out, aFactor{
			ID: k.ID, Type: "passkey", Name: k.Name, CreatedAt: k.Created, LastUsedAt: ever(k.LastUsed),
			Passkey: &aPasskey{k.Model(), k.Make, k.Synced, k.Attested, k.InHardware(true), ever(k.Suspect), string(bar)},
		})
	}
	return out, nil
}

// listCertificates leaves out those that only rules make the user's: nobody could take them away here.
func listCertificates(tx *fsm.Tx, tenant, user string) (out []aFactor, err error) {
	all, err := certificate.Of(tx, tenant, user)
	for _, c := range all {
		if c.By != "" {
			out = append(out, aFactor{ID: c.ID, Type: "certificate", Name: c.Called(), CreatedAt: c.Created, LastUsedAt: ever(c.LastUsed)})
		}
	}
	return out, err
}

func listApps(tx *fsm.Tx, tenant, user string) ([]aFactor, error) {
	all, err := totp.List(tx, tenant, user)
	var out []aFactor
	for _, app := range all {
		out = append(out, aFactor{ID: app.ID, Type: "totp", Name: app.Name, CreatedAt: app.Created, LastUsedAt: ever(app.LastUsed)})
	}
	return out, err
}

func listApprovers(tx *fsm.Tx, tenant, user string) ([]aFactor, error) {
	all, err := approval.List(tx, tenant, user)
	var out []aFactor
	for _, b := range all {
		out = append(out, aFactor{ID: b.ID, Type: "approver", Name: b.Name, CreatedAt: b.Created, LastUsedAt: ever(b.LastUsed)})
	}
	return out, err
}

func listRecovery(tx *fsm.Tx, tenant, user string) ([]aFactor, error) {
	s, err := recovery.Get(tx, tenant, user)
	if err != nil || s == nil {
		return nil, err
	}
	left := s.Left()
	return []aFactor{{ID: s.ID, Type: "recovery_codes", CreatedAt: s.Created, LastUsedAt: ever(s.LastUsed), Left: &left}}, nil
}

// ever is a time that may not have come.
func ever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// factorsOf lists what a user has, of whom it makes sure that there is one.
func factorsOf(tx *fsm.Tx, tenant, user string) ([]aFactor, error) {
	if _, _, err := directory.GetUser(tx, tenant, user); err != nil {
		return nil, err
	}
	var all []aFactor
	for _, list := range listings {
		some, err := list(tx, tenant, user)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (a *API) listFactors(c *call, in *byID) (*page[aFactor], error) {
	var rows []aFactor
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, err = factorsOf(tx, c.Tenant.ID, in.ID)
		return err
	})
	return show(rows, "", func(f *aFactor) aFactor { return *f }), err
}

type resetFactorsIn struct {
	byID
	Force bool `query:"force" doc:"Also if the user then has nothing left to begin a sign-in with."`
}

type resetFactorIn struct {
	resetFactorsIn
	Factor string `path:"factor" max:"128" doc:"ID of the factor." example:"otp_01jc8q2v7m3k5t9w0x4y6z8a1b"`
}

func (a *API) resetFactor(c *call, in *resetFactorIn) (*none, error) {
	return nil, a.takeFactors(c, in.ID, in.Force, func(tx *fsm.Tx) error {
		return factor.Remove(tx, c.Tenant.ID, in.ID, in.Factor)
	})
}

func (a *API) resetFactors(c *call, in *resetFactorsIn) (*none, error) {
	return nil, a.takeFactors(c, in.ID, in.Force, func(tx *fsm.Tx) error {
		return factor.RemoveAll(tx, c.Tenant.ID, in.ID, "reset by an administrator")
	})
}

// takeFactors takes factors away from a user, but not the last way in without force: whoever
// asks means to help somebody who has lost a phone, and would shut them out. A certificate is the
// last way of who has nothing else; it makes nothing else dispensable, since whether browsers are
// asked for certificates is each node's configuration.
func (a *API) takeFactors(c *call, user string, force bool, take func(*fsm.Tx) error) error {
	return a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := regain.Single(tx, c.Tenant.ID); err != nil {
			return err
		}
		u, _, err := directory.GetUser(tx, c.Tenant.ID, user)
		if err != nil {
			return err
		}
		before, err := waysOf(tx, u)
		if err != nil {
			return err
		}
		if err := take(tx); err != nil || force {
			return err
		}
		after, err := waysOf(tx, u)
		if err != nil || after.begins || !before.begins && (after.certified || !before.certified) {
			return err
		}
		return &identity.Error{Kind: problem.ErrState, Detail: "Nothing would be left for " + u.Username + " to sign in with, so nothing was removed. A recovery link lets them back in and has them choose anew; force removes it all the same."}
	})
}

// ways are with what somebody begins a sign-in.
type ways struct {
	begins    bool // with something other than a certificate
	certified bool // with one that was added and is good today; those that only rules lead to cannot be taken away
}

func waysOf(tx *fsm.Tx, u *directory.User) (w ways, err error) {
	if w.begins, err = spare.Begins(tx, u); err != nil {
		return w, err
	}
	good, err := certificate.GoodOf(tx, u.Tenant, u.ID)
	w.certified = slices.ContainsFunc(good, func(h certificate.Held) bool { return h.By != "" })
	return w, err
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
