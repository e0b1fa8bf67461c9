package authn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal/note"
)

// spentGrace keeps the mark of a spent flow beyond the flow's own end, for clocks
// that differ.
const spentGrace = time.Hour

// A spentFlow is a flow that has made its session, or what has made an account (Spend). The row made at completion is
// the only thing that makes a flow single-use.
type spentFlow struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	ID      string    `cbor:"2,keyasint,omitempty"`
	Session string    `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
}

var spent = fsm.NewTable(80, "spent_flows", fsm.Spec[spentFlow]{
	Scope:     func(s *spentFlow) fsm.Scope { return fsm.Scope(s.Tenant) },
	Key:       func(s *spentFlow) fsm.Key { return fsm.K(s.ID) },
	Expires:   func(s *spentFlow) time.Time { return s.Expires },
	Transient: true,
})

// An ending is what was read before the one transaction of a sign-in, so that a person's
// parallel sign-ins do not conflict over it.
type ending struct {
	excess  []string          // sessions that must give way to a new one
	sources []throttle.Source // from which failures are forgiven
}

// finish makes the session of a flow in which everything has been proved; also, if there is
// one, is part of the same transaction, before the session is made.
func (fs *Flows) finish(ctx context.Context, f *Flow, also func(tx *fsm.Tx) error) (Result, error) {
	var end ending
	err := fs.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		end, err = fs.ending(ctx, tx, f)
		return err
	})
	var started *session.Started
	var enrol *Enrolment
	var trust string
	var life time.Duration
	if err == nil {
		err = fs.cfg.DB.Update(ctx, func(tx *fsm.Tx) (err error) {
			started, err = fs.complete(tx, f, end, also)
			// What settled it is asked again only where something has been taken away since: to verify all of
			// it would double every entry.
			if err == nil && (also != nil || !f.settled || assurance.Has(f.Factors, assurance.Recovery)) {
				enrol, err = enrolment(tx, f)
			}
			if err == nil {
				trust, life, err = fs.trust(tx, f)
			}
			return err
		})
	}
	if errors.Is(err, totp.ErrUsed) {
		fs.usedAgain(ctx, f)
	}
	if errors.Is(err, fsm.ErrNotFound) && !errors.Is(err, identity.ErrUnauthenticated) { // deleted between the step and here
		return Result{}, wrong()
	}
	if err != nil {
		return Result{}, fmt.Errorf("finish sign-in: %w", err)
	}
	if f.Recovery != "" && enrol == nil {
		enrol = &Enrolment{Optional: true, Left: -1} // they had something that is gone now, or nothing yet
	}
	return fs.done(f, started, Result{Enrol: enrol, Trust: trust, TrustFor: life})
}

// done completes the result of a flow whose session has been made.
func (fs *Flows) done(f *Flow, started *session.Started, r Result) (_ Result, err error) {
	r.Step, r.Session = StepDone, started.Session
	if started.Session.Remembered {
		r.CookieFor = started.Session.Expires.Sub(started.Session.AuthTime)
	}
	if r.Cookie, err = fs.cfg.Sessions.Cookie(started); err != nil {
		return Result{}, err
	}
	if r.ReturnTo, err = fs.returnTo(f, &started.Session, false); err != nil {
		return Result{}, err
	}
	r.Device, err = fs.device(f)
	return r, err
}

func (fs *Flows) ending(ctx context.Context, tx *fsm.Tx, f *Flow) (end ending, err error) {
	u, _, err := directory.GetUser(tx, f.Need.Tenant, f.UserID)
	if err != nil {
		return end, err
	}
	for _, step := range []Step{StepPassword, StepMail, StepSecond} {
		at := *f
		at.At = step
		own := fs.sources(ctx, &at, u)[:1] // what was tried from everywhere stays
		end.sources = append(end.sources, own...)
		if throttle.Known(own) { // counts alike at every step
			break
		}
	}
	if err := throttle.LoadAll(tx, end.sources); err != nil {
		return end, err
	}
	if f.era, err = regain.Era(tx, f.Need.Tenant, u.ID); err != nil { // before the session: who is locked out meanwhile is no more known
		return end, err
	}
	end.excess, err = session.Excess(tx, f.Need.Tenant, u.ID, session.MaxPerUser-1)
	return end, err
}

// complete is the one transaction of a sign-in. User and password are read again: a
// change since the password was checked is a conflict or seen here, so a reset that
// ends all sessions cannot be slipped past by a sign-in under way.
func (fs *Flows) complete(tx *fsm.Tx, f *Flow, end ending, also func(tx *fsm.Tx) error) (*session.Started, error) {
	tenant := f.Need.Tenant
	if err := alive(tx, f); err != nil {
		return nil, err
	}
	if err := stillSo(tx, f); err != nil {
		return nil, err
	}
	if err := fs.unlock(tx, f, also != nil); err != nil {
		return nil, err
	}
	for _, factor := range f.Factors {
		if err := spend(tx, f, factor); err != nil {
			return nil, err
		}
	}
	if f.Recovery == "" && second(f.Factors) { // whoever waits to get in without has not lost it, or is somebody else
		if _, err := regain.Cancel(tx, tenant, f.UserID, "signed in with a second factor"); err != nil {
			return nil, err
		}
	}
	if also != nil {
		if err := also(tx); err != nil {
			return nil, err
		}
	}
	for _, id := range end.excess {
		if err := session.End(tx, tenant, id); err != nil {
			return nil, err
		}
	}
	started, err := fs.begun(tx, f)
	if err != nil {
		return nil, err
	}
	if err := approval.SignedIn(tx, fs.cfg.Ring, tenant, f.UserID, f.Browser.Approver, started.Session.ID); err != nil {
		return nil, err
	}
	for _, src := range end.sources {
		if err := src.Reset(tx); err != nil {
			return nil, err
		}
	}
	return started, nil
}

// stillSo checks that the user, their password, and the session that is raised are still
// what they were when they were proved.
func stillSo(tx *fsm.Tx, f *Flow) error {
	u, _, err := directory.GetUser(tx, f.Need.Tenant, f.UserID)
	if err != nil {
		return err
	}
	if u.Disabled {
		return wrong()
	}
	if assurance.Has(f.Factors, assurance.Password) {
		set, err := credential.PasswordSet(tx, f.Need.Tenant, u.ID)
		if err != nil {
			return err
		}
		if set.UnixNano() != f.PasswordSet {
			return wrong()
		}
	}
	for _, factor := range f.Factors {
		if factor.Method == assurance.Mail && factor.Ref != u.Email {
			return wrong()
		}
	}
	if f.Session == "" {
		return nil
	}
	s, err := session.Get(tx, f.Need.Tenant, f.Session)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && (s.UserID != f.UserID || f.Browser.SessionID != f.Session) {
		return dead("the session that it belongs to has ended")
	}
	return err
}

// begun makes the session of a flow, and the mark that spends it.
func (fs *Flows) begun(tx *fsm.Tx, f *Flow) (*session.Started, error) {
	started, err := fs.start(tx, f)
	if err != nil {
		return nil, err
	}
	mark := &spentFlow{Tenant: f.Need.Tenant, ID: f.ID, Session: started.Session.ID, Expires: f.Expires.Add(spentGrace)}
	return started, spent.Insert(tx, mark)
}

func (fs *Flows) start(tx *fsm.Tx, f *Flow) (*session.Started, error) {
	s := session.Session{Tenant: f.Need.Tenant, UserID: f.UserID, Factors: f.Factors, Remembered: f.Stay && !f.Need.Recover && f.Recovery == ""}
	if f.Browser.SessionID != "" {
		return fs.cfg.Sessions.Renew(tx, f.Browser.SessionID, s)
	}
	return fs.cfg.Sessions.Start(tx, s)
}

const (
	devicePurpose  = "sign-in device"
	deviceLifetime = 180 * 24 * time.Hour
)

// A knownDevice is a browser in which a user has signed in before, in this era of their account.
type knownDevice struct {
	UserID string    `cbor:"1,keyasint,omitempty"`
	Nonce  string    `cbor:"2,keyasint,omitempty"`
	Until  time.Time `cbor:"3,keyasint,omitempty"`
	Era    uint64    `cbor:"4,keyasint,omitempty"` // see regain.Era
}

func (fs *Flows) device(f *Flow) (string, error) {
	d := knownDevice{UserID: f.UserID, Nonce: rand.Text(), Until: fs.cfg.DB.Now().Add(deviceLifetime), Era: f.era}
	if old, ok := fs.deviceOf(f, f.UserID); ok {
		d.Nonce = old.Nonce
	}
	return note.Seal(fs.cfg.Ring, devicePurpose, f.Need.Tenant, d)
}

// deviceOf returns the device that the browser brings, if it is that user's; it takes as long for nobody.
func (fs *Flows) deviceOf(f *Flow, userID string) (d knownDevice, ok bool) {
	d = fs.openDevice(f.Need.Tenant, f.Browser.Device)
	return d, userID != "" && d.UserID == userID
}

// openDevice returns the zero value for what is none, or none any more: it is of an era before, too old, or of a person who
// is disabled or deleted.
func (fs *Flows) openDevice(tenant, text string) (d knownDevice) {
	if text == "" || note.Open(fs.cfg.Ring, devicePurpose, tenant, text, maxSealed, &d) != nil || !d.Until.After(fs.cfg.DB.Now()) {
		return knownDevice{}
	}
	stands := false
	err := fs.cfg.DB.View(context.Background(), func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, tenant, d.UserID)
		if err != nil {
			return err
		}
		era, err := regain.Era(tx, tenant, d.UserID)
		stands = !u.Disabled && d.Era == era
		return err
	})
	if err != nil || !stands {
		return knownDevice{}
	}
	return d
}
