package oidc

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

type userinfo struct {
	Subject string `json:"sub"`
	federation.Claims
}

// userinfo is the UserInfo endpoint (OpenID Connect Core, section 5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	info, err := p.readUserinfo(w, r)
	if err != nil {
		p.writeBearerError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, info)
}

func (p *Provider) readUserinfo(w http.ResponseWriter, r *http.Request) (*userinfo, error) {
	token, err := readBearer(w, r)
	if err != nil {
		return nil, err
	}
	c, err := p.verifyAccess(r.Context(), token)
	if err != nil {
		return nil, err
	}
	scopes := strings.Fields(c.Scope)
	if c.Family == "" || !slices.Contains(scopes, federation.ScopeOpenID) {
		return nil, refuse(codeInsufficientScope, "The access token was not granted the scope openid.")
	}
	info := &userinfo{Subject: c.Subject}
	err = p.familyOf(r.Context(), c.Family, func(tx *fsm.Tx, f *family.Family) error {
		u, _, err := directory.GetUser(tx, f.Tenant, f.UserID)
		if err != nil {
			return err
		}
		if u.ID != c.Subject || f.ClientID != c.ClientID {
			return family.ErrDead
		}
		info.Claims, err = federation.ClaimsOf(tx, u, scopes)
		return err
	})
	return info, err
}

// writeBearerError answers as RFC 6750, section 3, says.
func (p *Provider) writeBearerError(w http.ResponseWriter, r *http.Request, err error) {
	const realm = `Bearer realm="userinfo"`
	if errors.Is(err, errNoToken) {
		w.Header().Set("WWW-Authenticate", realm)
		writeJSON(w, http.StatusUnauthorized, errorBody{})
		return
	}
	e := registered(err)
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
