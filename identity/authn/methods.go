package authn

import (
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal/note"
)

// A way is a method of proving who one is for a user who is known already. check only reads;
// what it returns travels in the flow, and accept spends it in the transaction at the end, where
// a second flow that was proved with the same finds it spent.
type way struct {
	has    func(tx *fsm.Tx, tenant, user string) ([]assurance.Factor, error) // what they could prove
	check  func(fs *Flows, tx *fsm.Tx, tenant, user, answer string) (assurance.Factor, error)
	accept func(tx *fsm.Tx, tenant, user string, f assurance.Factor) error
}

// The ways; order is that in which they are offered: what cannot be phished first.
var (
	order   = []assurance.Method{assurance.Passkey, assurance.Certificate, assurance.TOTP, assurance.Approval, assurance.Recovery}
	methods = map[assurance.Method]way{
		assurance.Passkey:  {has: hasPasskeys, accept: acceptPasskey},
		assurance.TOTP:     {has: hasTOTP, check: checkTOTP, accept: acceptTOTP},
		assurance.Approval: {has: hasApproval, accept: acceptApproval},
		assurance.Recovery: {has: hasRecovery, check: checkRecovery, accept: acceptRecovery},
		assurance.Device:   {accept: acceptDevice},

		assurance.Certificate: {has: hasCertificates, accept: acceptCertificate},
		assurance.Password:    {}, // beside a mail, or a key that knows nobody: checked by the pool, spent by nothing
	}
)

func hasTOTP(tx *fsm.Tx, tenant, user string) ([]assurance.Factor, error) {
	apps, err := totp.List(tx, tenant, user)
	if err != nil || len(apps) == 0 {
		return nil, err
	}
	return []assurance.Factor{{Method: assurance.TOTP}}, nil
}

func checkTOTP(fs *Flows, tx *fsm.Tx, tenant, user, code string) (assurance.Factor, error) {
	id, step, err := totp.Check(tx, fs.cfg.Ring, tenant, user, code)
	return assurance.Factor{Method: assurance.TOTP, Ref: id, Count: step}, err
}

func acceptTOTP(tx *fsm.Tx, tenant, user string, f assurance.Factor) error {
	return totp.Accept(tx, tenant, user, f.Ref, f.Count)
}

func hasRecovery(tx *fsm.Tx, tenant, user string) ([]assurance.Factor, error) {
	codes, err := recovery.Get(tx, tenant, user)
	if err != nil || codes == nil || codes.Left() == 0 {
		return nil, err
	}
	return []assurance.Factor{{Method: assurance.Recovery}}, nil
}

func checkRecovery(fs *Flows, tx *fsm.Tx, tenant, user, code string) (assurance.Factor, error) {
	proof, err := recovery.Check(tx, fs.cfg.Ring, tenant, user, code)
	return assurance.Factor{Method: assurance.Recovery, Box: proof}, err
}

func acceptRecovery(tx *fsm.Tx, tenant, user string, f assurance.Factor) error {
	_, err := recovery.Accept(tx, tenant, user, f.Box)
	return err
}

// hasApproval finds a browser in which the person is signed in and may approve. It counts only
// beside an app or a passkey: one that has to be signed in itself would be a way in that
// needs itself.
func hasApproval(tx *fsm.Tx, tenant, user string) ([]assurance.Factor, error) {
	all, err := approvers(tx, tenant, user)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	apps, err := hasTOTP(tx, tenant, user)
	if err != nil {
		return nil, err
	}
	keys, err := hasPasskeys(tx, tenant, user)
	if err != nil || len(apps)+len(keys) == 0 {
		return nil, err
	}
	return []assurance.Factor{{Method: assurance.Approval}}, nil
}

func acceptApproval(tx *fsm.Tx, tenant, user string, f assurance.Factor) error {
	return approval.Accept(tx, tenant, user, string(f.Box), f.Ref)
}

func acceptDevice(tx *fsm.Tx, tenant, user string, f assurance.Factor) error {
	return device.Accept(tx, tenant, user, f.Ref)
}

func hasPasskeys(tx *fsm.Tx, tenant, user string) (could []assurance.Factor, err error) {
	for k, err := range passkey.List(tx, tenant, user) {
		if err != nil {
			return nil, err
		}
		if k.Suspect.IsZero() {
			could = append(could, assurance.Factor{
				Method: assurance.Passkey, Verified: k.UVInitialized, Bound: !k.Synced, Attested: k.InHardware(false), Unasked: k.Unasked,
			})
		}
	}
	return could, nil
}

// provedBy is the factor that an assertion is; beside another factor that is worth as much, which
// a mailbox is not, its user verification counts from now on (WebAuthn L3 §7.2 step 25).
func provedBy(a passkey.Assertion, beside bool) (assurance.Factor, error) {
	a.Initialize = beside
	box, err := cbor.Marshal(a)
	return assurance.Factor{
		Method: assurance.Passkey, Verified: a.UV || beside && a.VerifiedNow, Bound: !a.Synced, Attested: a.Hardware,
		Ref: a.ID, Box: box,
	}, err
}

func acceptPasskey(tx *fsm.Tx, tenant, user string, f assurance.Factor) error {
	var a passkey.Assertion
	if err := note.Decode(f.Box, &a); err != nil {
		return err
	}
	if a.Tenant != tenant || a.UserID != user {
		return errors.New("an assertion of somebody else in a flow")
	}
	return passkey.Accept(tx, a)
}

// trusted is the factor of a trusted device, if the browser is one of this user's.
func (fs *Flows) trusted(tx *fsm.Tx, f *Flow) ([]assurance.Factor, error) {
	d, err := device.Trusted(tx, fs.cfg.Ring, f.Need.Tenant, f.UserID, f.Browser.Trust)
	if err != nil || d == nil {
		return nil, err
	}
	return []assurance.Factor{{Method: assurance.Device, At: tx.Now(), Ref: d.ID}}, nil
}

// trust makes the browser one of the person's trusted devices, if they asked for that when they
// proved a second factor and the tenant lets them. Recovering an account proves too little for it.
func (fs *Flows) trust(tx *fsm.Tx, f *Flow) (cookie string, life time.Duration, err error) {
	if f.Browser.Remember == "" || f.Need.Recover || assurance.Of(f.Factors) < 2 || assurance.Has(f.Factors, assurance.Device) {
		return "", 0, nil
	}
	if err := regain.Held(tx, f.Need.Tenant, f.UserID); errors.Is(err, identity.ErrDenied) {
		return "", 0, nil
	} else if err != nil {
		return "", 0, err
	}
	s, _, err := settings.Get(tx, f.Need.Tenant)
	if err != nil || s.TrustedDevices <= 0 {
		return "", 0, err
	}
	life = min(time.Duration(s.TrustedDevices)*24*time.Hour, device.MaxLifetime)
	_, cookie, err = device.Trust(tx, fs.cfg.Ring, f.Need.Tenant, f.UserID, f.Browser.Remember, life)
	return cookie, life, err
}

// spend marks what a factor was proved with as used, where the method demands it.
func spend(tx *fsm.Tx, f *Flow, factor assurance.Factor) error {
	if how := methods[factor.Method]; how.accept != nil {
		return how.accept(tx, f.Need.Tenant, f.UserID, factor)
	}
	return nil
}

var errWay error = identity.Invalid("method", "This way to sign in is not open here. Choose another.")
