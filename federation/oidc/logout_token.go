package oidc

import (
	"context"
	"fmt"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	typLogout       = "logout+jwt" // Back-Channel Logout, section 2.4
	logoutEvent     = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenLife = 2 * time.Minute // each attempt has a token of its own
)

// logoutToken are the claims of OpenID Connect Back-Channel Logout, section 2.4. There
// is never a nonce, so that it cannot be taken for an ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	Issued   int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Events   map[string]struct{} `json:"events"`
	Session  string              `json:"sid,omitempty"`
}

// logoutMetadata is Back-Channel Logout, section 2.1, and Front-Channel Logout, section 3.
type logoutMetadata struct {
	Backchannel         bool `json:"backchannel_logout_supported"`
	BackchannelSession  bool `json:"backchannel_logout_session_supported"`
	Frontchannel        bool `json:"frontchannel_logout_supported"`
	FrontchannelSession bool `json:"frontchannel_logout_session_supported"`
}

// LogoutToken signs a logout token for an application: that a user has signed out of one
// session, or of all of them if sessionID is empty. It is signed, and if need be
// encrypted, like the application's ID tokens. The tenant comes with ctx.
func (p *Provider) LogoutToken(ctx context.Context, app *federation.Application, userID, sessionID, jti string) (string, error) {
	t := identity.TenantFrom(ctx)
	var subject string
	err := p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		subject, err = federation.SubjectOf(tx, app, userID)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("logout token: %w", err)
	}
	now := p.db.Now()
	c := logoutToken{
		Issuer: t.Issuer, Subject: subject, Audience: app.ClientID, Issued: now.Unix(), Expires: now.Add(logoutTokenLife).Unix(),
		ID: jti, Events: map[string]struct{}{logoutEvent: {}}, Session: sessionID,
	}
	token, err := p.sign(ctx, &exchange{tenant: t}, app, typLogout, &c)
	if err != nil {
		return "", fmt.Errorf("logout token: %w", err)
	}
	return p.encryptTo(ctx, app, app.Tokens.IDToken, token, typLogout, "JWT")
}
