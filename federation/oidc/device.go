package oidc

import (
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const devicePath = "/oauth2/device_authorization"

// deviceAnswer is what a device gets to show and to poll with (RFC 8628, section 3.2).
type deviceAnswer struct {
	Code     string `json:"device_code"`
	UserCode string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Complete string `json:"verification_uri_complete"`
	Expires  int    `json:"expires_in"`
	Interval int    `json:"interval"`
}

// startDevice begins the authorization of a device (RFC 8628, section 3.1): one log entry.
func (p *Provider) startDevice(w http.ResponseWriter, r *http.Request) (*deviceAnswer, error) {
	ctx := r.Context()
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	who, err := p.identify(ctx, r, form)
	if err != nil {
		return nil, err
	}
	app := who.App
	if !app.Allows(federation.GrantDevice) {
		return nil, refuse(codeUnauthorizedClient, "The application is not allowed to use this grant type.")
	}
	a := &device.Authorization{Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID, Key: p.ring.CurrentKey()}
	if a.Grant, err = p.askedFor(ctx, app, form); err != nil {
		return nil, err
	}
	from := poll.Starter{Tenant: app.Tenant, Application: app.ID, Network: identity.RequestFrom(ctx).Network()}
	if err := p.await(ctx, who, device.Limit, from, func(tx *fsm.Tx) error { return device.Start(tx, a) }); err != nil {
		return nil, err
	}
	code, err := poll.Device.Code(p.ring, a.Tenant, a.ClientID, a.Family, a.Key)
	if err != nil {
		return nil, err
	}
	at := identity.TenantFrom(ctx).Issuer + "/device"
	shown := device.ShowUserCode(a.UserCode)
	return &deviceAnswer{
		Code: code, UserCode: shown, URI: at, Complete: at + "?" + url.Values{"user_code": {shown}}.Encode(),
		Expires: int(device.Lifetime / time.Second), Interval: int(poll.Interval / time.Second),
	}, nil
}
