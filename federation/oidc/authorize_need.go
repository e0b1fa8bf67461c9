package oidc

import (
	"context"
	"slices"
	"time"

	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/session"
)

// A demand is what a person must do before a request can be answered.
type demand int

const (
	nothing        demand = iota
	choice                // say which account it shall be; the one that is signed in will do
	enrolment             // set up a second factor
	boundEnrolment        // set up a passkey that never leaves its device
	more                  // prove more than the session says, which stays
	proof                 // sign in, whoever is signed in already
)

// need returns what the person must do before q can be answered, given the session of
// their browser, which may be nil. An error says that nothing they could do would help.
func (p *Provider) need(ctx context.Context, q *authorizeRequest, s *session.Session) (demand, error) {
	if s == nil {
		if q.acrEssential && !slices.ContainsFunc(q.acr, authn.Reachable) {
			return nothing, errUnmet
		}
		return proof, nil
	}
	chosen := q.ticket != nil && q.ticket.SessionID == s.ID
	proved := chosen && !q.ticket.Kept
	if !proved && (q.prompts("login") || q.prompts(promptCreate) || q.tooOld(s, p.db.Now())) {
		return proof, nil
	}
	if d, err := p.assured(ctx, q, s, proved); d != nothing || err != nil {
		return d, err
	}
	if d, err := p.meant(ctx, q, s, chosen); d != nothing || err != nil {
		return d, err
	}
	if q.prompts("select_account") && !chosen {
		return choice, nil
	}
	return nothing, nil
}

// tooOld reports whether the person has last proved who they are longer ago than max_age. With
// 0 they always have: it is another way to say prompt=login.
func (q *authorizeRequest) tooOld(s *session.Session, now time.Time) bool {
	return q.maxAge == 0 || q.maxAge != anyAge && now.Sub(s.AuthTime) > time.Duration(q.maxAge)*time.Second
}

var errUnmet = refuse(codeUnmetAuthentication, "The user cannot be authenticated in a way that the request demands.")

// assured compares how the person signed in with how they should have. A context that is only
// wished for is tried where it can be had, and else the tokens say what there is (OpenID
// Connect Core, section 5.5.1.1); what is essential is kept to or refused, and so is the
// policy of second factors.
func (p *Provider) assured(ctx context.Context, q *authorizeRequest, s *session.Session, proved bool) (demand, error) {
	if q.acrEssential && !slices.ContainsFunc(q.acr, authn.Reachable) {
		return nothing, errUnmet
	}
	if !proved && s.Level() == 0 && s.Impersonation == nil && slices.ContainsFunc(q.acr, authn.Reachable) { // signed in elsewhere, we know not how
		return proof, nil
	}
	standing, err := p.flows.Stands(ctx, s, authn.Need{MFA: q.app.MFAPolicy, ACR: q.acr})
	switch {
	case err != nil:
		return nothing, err
	case standing == authn.Enrol:
		return enrolment, nil
	case standing == authn.EnrolBound:
		return boundEnrolment, nil
	case standing == authn.More && !proved:
		return more, nil
	case standing != authn.Enough, q.acrEssential && !assurance.Meets(q.acr, s.Level()):
		return nothing, errUnmet
	}
	return nothing, nil
}

// meant compares who is signed in with whom the application means, by an ID token of
// theirs or by the value of sub that it asks for.
func (p *Provider) meant(ctx context.Context, q *authorizeRequest, s *session.Session, chosen bool) (demand, error) {
	subject := q.claims.Subject()
	hint, err := p.readHint(ctx, q.idTokenHint)
	switch {
	case err != nil:
		return nothing, err
	case hint == nil && q.idTokenHint != "" && q.prompts("none"):
		// Who is meant cannot be told, so it cannot be confirmed that they are signed in.
		return proof, nil
	case hint != nil && subject != "" && hint.Subject != subject:
		return nothing, refuse(codeInvalidRequest, "The id_token_hint and the value of sub mean two different users.")
	case hint != nil:
		subject = hint.Subject
	}
	if subject == "" {
		return nothing, nil
	}
	same, err := p.isSubject(ctx, q.app, subject, s.UserID)
	switch {
	case err != nil:
		return nothing, err
	case same:
		return nothing, nil
	case chosen:
		return nothing, refuse(codeLoginRequired, "Another user signed in than the one asked for.")
	}
	return proof, nil
}
