package authn

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn/throttle"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal/note"
)

// certificateReason begins the reasons of refused certificates in events.
const certificateReason = "certificate_"

// shownFor is how long a certificate counts that a browser has shown, until the step is taken.
const shownFor = 2 * time.Minute

// Shown reports whether a certificate has been put into the flow with which the step can be
// taken at the time now.
func (f *Flow) Shown(now time.Time) bool {
	return f.Certificate != nil && now.Sub(f.Certificate.At) <= shownFor && (f.Step() == StepPassword || f.Step() == StepSecond)
}

// Show puts the certificate that a browser has proven to have, and what it sent with it, into
// its flow, for the step Certificate. That happens where browsers are asked for certificates,
// which may be at another address, without the flow's cookie: so the flow is not held to its
// browser here, and goes on only in that browser. It writes nothing, but may ask the authority's
// servers. It reports *certificate.Refused, ErrDeadFlow, and fsm.ErrUnavailable.
func (fs *Flows) Show(ctx context.Context, sealed string, presented []*x509.Certificate) (*Flow, error) {
	f, err := fs.open(identity.TenantFrom(ctx).ID, sealed)
	if err != nil {
		return nil, err
	}
	if !f.Bound() || f.Step() != StepPassword && f.Step() != StepSecond {
		return nil, dead("it is not at this step")
	}
	if open, err := fs.takesCertificate(ctx, f); err != nil || !open {
		return nil, cmp.Or(err, errWay)
	}
	if err := fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error { return alive(tx, f) }); err != nil {
		return nil, err
	}
	shown, err := fs.cfg.Certificates.Examine(ctx, f.Need.Tenant, presented)
	if err == nil {
		err = fs.cfg.DB.Read(ctx, func(tx *fsm.Tx) error {
			_, u, err := shown.Owner(tx, f.Need.Tenant)
			if err == nil && f.UserID != "" && u.ID != f.UserID {
				err = &certificate.Refused{Reason: certificate.Other}
			}
			return err
		})
	}
	if err != nil {
		fs.turnedAway(ctx, f, err)
		return nil, fmt.Errorf("show certificate: %w", err)
	}
	f.Certificate = shown
	return f, fs.seal(f)
}

// Certificate takes the first or the second step with the certificate that Show has put into the
// flow. Errors are those of Password; a certificate that lets nobody in is *certificate.Refused.
func (fs *Flows) Certificate(ctx context.Context, f *Flow) (Result, error) {
	return fs.measured(assurance.Certificate, func() (Result, string, error) {
		r, reason, err := fs.certificate(ctx, f)
		if err != nil {
			fs.turnedAway(ctx, f, err)
		}
		return r, reason, err
	})
}

func (fs *Flows) certificate(ctx context.Context, f *Flow) (Result, string, error) {
	if !f.Bound() || !f.Shown(fs.cfg.DB.Now()) {
		return Result{}, "dead_flow", dead("it is not at this step, or the certificate was shown too long ago")
	}
	if open, err := fs.takesCertificate(ctx, f); err != nil || !open {
		return Result{}, reasonOf(err), cmp.Or(err, errWay)
	}
	var with *certificate.Authority
	known, err := fs.lookUp(ctx, f, assurance.Certificate, func(tx *fsm.Tx) (u *directory.User, err error) {
		with, u, err = f.Certificate.Owner(tx, f.Need.Tenant)
		return u, err
	})
	if err == nil {
		err = fs.cfg.Certificates.Again(ctx, f.Need.Tenant, f.Certificate)
	}
	if why, ok := errors.AsType[*certificate.Refused](err); ok {
		return Result{}, string(why.Reason), err
	}
	if err != nil {
		return Result{}, reasonOf(err), err
	}
	if known.user == nil || known.user.Disabled {
		return Result{}, reasonDisabled, identity.Unauthenticated("This does not let you in.")
	}
	if f.UserID != "" && f.UserID != known.user.ID {
		return Result{}, string(certificate.Other), &certificate.Refused{Reason: certificate.Other}
	}
	proof := *f.Certificate
	proof.OCSP, proof.CRL, proof.Again = nil, nil, false // nobody is asked any more
	box, err := cbor.Marshal(proof)
	if err != nil {
		return Result{}, "internal", err
	}
	fresh := with.Proves()
	fresh.Box = box
	proved := *f
	proved.UserID = known.user.ID
	if proved.Login == "" {
		proved.Login = known.user.Username
	}
	r, reason, err := fs.passed(ctx, &proved, fresh)
	if err == nil {
		*f = proved
	}
	return r, reason, err
}

// turnedAway logs why a certificate let nobody in: its owner sees one sentence for most reasons,
// and the ID of the request to ask about.
func (fs *Flows) turnedAway(ctx context.Context, f *Flow, err error) {
	why, ok := errors.AsType[*certificate.Refused](err)
	if !ok {
		return
	}
	fs.cfg.Logger.InfoContext(ctx, "certificate refused", "reason", string(why.Reason), "cause", why.Cause,
		"request_id", identity.RequestFrom(ctx).ID, "tenant", f.Need.Tenant)
	k, one := (&subject{method: assurance.Certificate}).failed(ctx, f, certificateReason+string(why.Reason))
	fs.noted(fs.attempts.Fail(throttle.Attempt{}, k, one))
}

func (fs *Flows) takesCertificate(ctx context.Context, f *Flow) (bool, error) {
	if f.Step() == StepPassword {
		open, err := fs.Open(ctx, f)
		return open.Certificate, err
	}
	ways, err := fs.Offer(ctx, f)
	return slices.Contains(ways, assurance.Certificate), err
}

func hasCertificates(tx *fsm.Tx, tenant, user string) (could []assurance.Factor, err error) {
	held, err := certificate.HeldBy(tx, tenant, user)
	for _, h := range held {
		could = append(could, h.Proves())
	}
	return could, err
}

func acceptCertificate(tx *fsm.Tx, tenant, user string, f assurance.Factor) error {
	var s certificate.Shown
	if err := note.Decode(f.Box, &s); err != nil {
		return err
	}
	return certificate.Accept(tx, tenant, user, &s)
}
