package logout

import (
	"errors"
	"net/url"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
)

// held are the sessions of a user in which an application was given tokens. That it has
// revoked them since says nothing about whether the person is still signed in there.
func held(tx *fsm.Tx, tenant, userID, sessionID string) (map[string][]string, error) {
	sessions := map[string][]string{} // by application
	for f, err := range family.Of(tx, tenant, userID) {
		if err != nil {
			return nil, err
		}
		if f.SessionID == "" || sessionID != "" && f.SessionID != sessionID || slices.Contains(sessions[f.Application], f.SessionID) {
			continue
		}
		sessions[f.Application] = append(sessions[f.Application], f.SessionID)
	}
	return sessions, nil
}

// calledFor returns the deliveries that a cause calls for.
func calledFor(tx *fsm.Tx, c *cause) (due []Delivery, err error) {
	sessions, err := held(tx, c.tenant, c.user, c.session)
	if err != nil {
		return nil, err
	}
	for id, of := range sessions {
		app, err := application(tx, c.tenant, id)
		if err != nil {
			return nil, err
		}
		if app == nil || app.Logout.BackchannelURI == "" {
			continue
		}
		if c.session == "" && !app.Logout.BackchannelSession {
			of = []string{""}
		}
		for _, s := range of {
			d := Delivery{Tenant: c.tenant, Application: id, UserID: c.user, SessionID: s, Event: c.event}
			if d.ID, err = deliveryID(c.event, id, s); err != nil {
				return nil, err
			}
			due = append(due, d)
		}
	}
	return due, nil
}

// Frames returns the addresses that a browser in which a session ends must load, so that
// applications can forget it (OpenID Connect Front-Channel Logout, section 2): those of
// the applications that were given tokens in the session, in a steady order.
func Frames(tx *fsm.Tx, tenant, issuer, userID, sessionID string) (frames []string, err error) {
	sessions, err := held(tx, tenant, userID, sessionID)
	if err != nil {
		return nil, err
	}
	for id := range sessions {
		app, err := application(tx, tenant, id)
		if err != nil {
			return nil, err
		}
		if app == nil || app.Logout.FrontchannelURI == "" || len(frames) == maxFrames {
			continue
		}
		u, err := url.Parse(app.Logout.FrontchannelURI)
		if err != nil {
			continue // it is checked when it is registered
		}
		// Both always: an application that has not asked for them may ignore them, and
		// one that has must not be without.
		q := url.Values{"iss": {issuer}, "sid": {sessionID}}.Encode()
		if u.RawQuery != "" {
			q = u.RawQuery + "&" + q
		}
		u.RawQuery = q
		frames = append(frames, u.String())
	}
	slices.Sort(frames)
	return frames, nil
}

// maxFrames bounds what one page makes a browser load at once.
const maxFrames = 50

// application returns nil for one that is gone.
func application(tx *fsm.Tx, tenant, id string) (*federation.Application, error) {
	app, _, err := federation.Get(tx, tenant, id)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return app, err
}
