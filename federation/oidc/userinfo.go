package oidc

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/statement"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

type userinfo struct {
	Subject string `json:"sub"`
	federation.Claims
}

// userinfo is the UserInfo endpoint (OpenID Connect Core, section 5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	app, info, nonce, err := p.readUserinfo(w, r)
	giveNonce(w, nonce)
	if err == nil {
		err = p.writeUserinfo(w, r, app, info)
	}
	if err != nil {
		p.writeBearerError(w, r, err)
	}
}

func (p *Provider) readUserinfo(w http.ResponseWriter, r *http.Request) (app *federation.Application, info any, nonce string, err error) {
	t, err := readPresented(w, r)
	if err != nil {
		return nil, nil, "", err
	}
	c, err := p.verifyAccess(r.Context(), t.token)
	if err != nil {
		return nil, nil, "", err
	}
	if nonce, err = p.held(r, t, c); err != nil {
		return nil, nil, nonce, err
	}
	scopes := strings.Fields(c.Scope)
	if c.Family == "" || !slices.Contains(scopes, federation.ScopeOpenID) {
		return nil, nil, nonce, refuse(codeInsufficientScope, "The access token was not granted the scope openid.")
	}
	var d *statement.Draft
	err = p.familyOf(r.Context(), nil, c.Family, func(tx *fsm.Tx, f *family.Family, of *federation.Application) (err error) {
		app = of
		q := statement.Question{
			App: app, UserID: f.UserID, Scopes: scopes, Requested: f.Claims, In: intoUserinfo,
			Request: claim.Request{ACR: f.ACR, AMR: f.AMR, AuthTime: time.Unix(f.AuthTime, 0)},
		}
		if d, err = statement.Read(tx, p.claims, &q); err != nil {
			return err
		}
		if d.Subject != c.Subject || f.ClientID != c.ClientID {
			return family.ErrDead
		}
		return nil
	})
	if err != nil {
		return nil, nil, nonce, err
	}
	said, err := d.Finish(r.Context())
	if err != nil {
		return nil, nil, nonce, err
	}
	info, err = said.Over(&userinfo{said.Subject, said.Userinfo}, claim.InUserinfo)
	return app, info, nonce, err
}

// writeBearerError answers as RFC 6750, section 3, says.
func (p *Provider) writeBearerError(w http.ResponseWriter, r *http.Request, err error) {
	where := ", " + metadataParameter(identity.TenantFrom(r.Context()).Issuer)
	realm := `Bearer realm="userinfo"` + where
	proof := `DPoP algs="` + strings.Join(jose.Asymmetric, " ") + `"` + where
	if errors.Is(err, errNoToken) {
		w.Header().Set("WWW-Authenticate", realm)
		w.Header().Add("WWW-Authenticate", proof)
		writeJSON(w, http.StatusUnauthorized, errorBody{})
		return
	}
	e := *registered(err)
	if e.ErrorField == codeInvalidDPoP || e.ErrorField == codeUseDPoPNonce {
		e.CodeField, realm = http.StatusUnauthorized, proof // RFC 9449, sections 7.1 and 9
	}
	p.note(r, e.CodeField, err)
	switch e.CodeField {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		challenge := realm + `, error="` + e.ErrorField + `", error_description="` + quoted(e.DescriptionField) + `"`
		if e.ErrorField == codeInsufficientScope {
			challenge += `, scope="openid"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	writeJSON(w, e.CodeField, errorBody{e.ErrorField, e.DescriptionField})
}
