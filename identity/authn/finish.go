package authn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
)

// spentGrace keeps the mark of a spent flow beyond the flow's own end, for clocks
// that differ.
const spentGrace = time.Hour

// A spentFlow is a flow that has made its session. The row made at completion is
// the only thing that makes a flow single-use.
type spentFlow struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	ID      string    `cbor:"2,keyasint,omitempty"`
	Session string    `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
}

var (
	spent = fsm.NewTable(80, "spent_flows", fsm.Spec[spentFlow]{
		Scope:     func(s *spentFlow) fsm.Scope { return fsm.Scope(s.Tenant) },
		Key:       func(s *spentFlow) fsm.Key { return fsm.K(s.ID) },
		Expires:   func(s *spentFlow) time.Time { return s.Expires },
		Transient: true,
	})
	lastSignin = fsm.NewCounter(81, "last_signin") // milliseconds since 1970
)

// finish makes the session of a flow in which everything has been proved.
func (fs *Flows) finish(ctx context.Context, f *Flow, known *subject) (Result, error) {
	var started *session.Started
	err := fs.cfg.DB.Update(ctx, func(tx *fsm.Tx) (err error) {
		started, err = fs.complete(tx, f, known)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // deleted between the step and here
		return Result{}, wrong()
	}
	if err != nil {
		return Result{}, fmt.Errorf("finish sign-in: %w", err)
	}
	r := Result{Step: StepDone, Session: started.Session}
	if r.Cookie, err = fs.cfg.Sessions.Cookie(started); err != nil {
		return Result{}, err
	}
	if r.ReturnTo, err = fs.returnTo(f, &started.Session, false); err != nil {
		return Result{}, err
	}
	r.Device, err = fs.device(f, known)
	return r, err
}

// complete is the one transaction of a sign-in. User and password are read again: a
// change since the password was checked is a conflict or seen here, so a reset that
// ends all sessions cannot be slipped past by a sign-in under way.
func (fs *Flows) complete(tx *fsm.Tx, f *Flow, known *subject) (*session.Started, error) {
	tenant := f.Need.Tenant
	if err := alive(tx, f); err != nil {
		return nil, err
	}
	u, _, err := directory.GetUser(tx, tenant, f.UserID)
	if err != nil {
		return nil, err
	}
	set, err := credential.PasswordSet(tx, tenant, u.ID)
	if err != nil {
		return nil, err
	}
	if u.Disabled || !set.Equal(known.passwordSet) {
		return nil, wrong()
	}
	for _, id := range known.excess {
		if err := session.End(tx, tenant, id); err != nil {
			return nil, err
		}
	}
	s := session.Session{Tenant: tenant, UserID: u.ID, AMR: f.Passed, ACR: ACRPassword}
	started, err := fs.start(tx, f, s)
	if err != nil {
		return nil, err
	}
	mark := &spentFlow{Tenant: tenant, ID: f.ID, Session: started.Session.ID, Expires: f.Expires.Add(spentGrace)}
	if err := spent.Insert(tx, mark); err != nil {
		return nil, err
	}
	if err := lastSignin.Max(tx, fsm.Scope(tenant), fsm.K(u.ID), tx.Now().UnixMilli(), time.Time{}); err != nil {
		return nil, err
	}
	for _, src := range known.sources {
		if err := src.reset(tx); err != nil {
			return nil, err
		}
	}
	return started, nil
}

func (fs *Flows) start(tx *fsm.Tx, f *Flow, s session.Session) (*session.Started, error) {
	if f.Browser.SessionID != "" {
		return fs.cfg.Sessions.Renew(tx, f.Browser.SessionID, s)
	}
	return fs.cfg.Sessions.Start(tx, s)
}

const (
	devicePurpose  = "sign-in device"
	deviceLifetime = 180 * 24 * time.Hour
)

// A device is a browser in which a user has signed in before.
type device struct {
	UserID string    `cbor:"1,keyasint,omitempty"`
	Nonce  string    `cbor:"2,keyasint,omitempty"`
	Until  time.Time `cbor:"3,keyasint,omitempty"`
}

func (fs *Flows) device(f *Flow, known *subject) (string, error) {
	d := device{UserID: f.UserID, Nonce: rand.Text(), Until: fs.cfg.DB.Now().Add(deviceLifetime)}
	if old, ok := fs.deviceOf(f, f.UserID); ok {
		d.Nonce = old.Nonce
	}
	return fs.sealValue(devicePurpose, f.Need.Tenant, d)
}

// deviceOf returns the device that the browser brings, if it is that user's.
func (fs *Flows) deviceOf(f *Flow, userID string) (d device, ok bool) {
	if f.Browser.Device == "" || userID == "" {
		return d, false
	}
	err := fs.openValue(devicePurpose, f.Need.Tenant, f.Browser.Device, &d)
	return d, err == nil && d.UserID == userID && d.Until.After(fs.cfg.DB.Now())
}
