package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys"
)

var (
	errNoToken  = errors.New("no access token")
	errBadToken = refuse(codeInvalidToken, "The access token is not valid: unknown, expired or revoked.")
)

// A presented token is one as it came.
type presented struct {
	token string
	dpop  bool // with a proof of the key that it is bound to
}

// readPresented returns the access token of r: in the Authorization header or, with
// POST, in the form (RFC 6750, section 2), and in one place only. Never in the URL. One
// that is bound to a DPoP key comes in the header (RFC 9449, section 7.1).
func readPresented(w http.ResponseWriter, r *http.Request) (t presented, err error) {
	form := ""
	if r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		values, err := readForm(w, r)
		if err != nil {
			return t, err
		}
		form = values.Get("access_token")
	}
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) == 0 && form == "":
		return t, errNoToken
	case len(headers) == 0:
		return presented{token: form}, nil
	case len(headers) > 1 || form != "":
		return t, refuse(codeInvalidRequest, "The access token must be sent once.")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	t = presented{token, strings.EqualFold(scheme, "DPoP")}
	if !t.dpop && !strings.EqualFold(scheme, "Bearer") || token == "" {
		return presented{}, errNoToken
	}
	return t, nil
}

// verifyAccess is verifyIssued for our own endpoints: a token that is for a resource
// server alone is none that they take (RFC 8707, section 2).
func (p *Provider) verifyAccess(ctx context.Context, token string) (*accessToken, error) {
	c, err := p.verifyIssued(ctx, token)
	if err == nil && !c.Audience.has(identity.TenantFrom(ctx).Issuer) {
		return nil, errBadToken
	}
	return c, err
}

// verifyIssued checks signature, type, issuer and time of an access token, whoever it is
// for. errBadToken: it is none of ours. It does not look at the family.
func (p *Provider) verifyIssued(ctx context.Context, token string) (*accessToken, error) {
	t := identity.TenantFrom(ctx)
	payload, _, err := p.keys.Verify(ctx, t.ID, token, typAccess)
	if errors.Is(err, keys.ErrInvalidToken) || errors.Is(err, fsm.ErrNotFound) {
		return nil, errBadToken
	}
	if err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	var c accessToken
	if json.Unmarshal(payload, &c) != nil || c.Issuer != t.Issuer || p.db.Now().Unix() >= c.Expires {
		return nil, errBadToken
	}
	if began := p.ring.Began(); !began.IsZero() && c.Issued <= began.Unix() {
		return nil, errBadToken
	}
	return &c, nil
}

// familyOf returns the family that a token names if it stands, as of a state
// that is fresh enough to say so. Otherwise it reports errBadToken. asks is the application
// that has just been read to ask, if one has: mostly the family is its own, and the row
// need not be read again.
func (p *Provider) familyOf(ctx context.Context, asks *federation.Application, id string, also func(tx *fsm.Tx, f *family.Family, app *federation.Application) error) error {
	named, err := family.ParseID(id)
	if err != nil {
		return errBadToken
	}
	if err := p.fresh(ctx); err != nil {
		return fmt.Errorf("is the token revoked: %w", err)
	}
	err = p.db.Read(ctx, func(tx *fsm.Tx) error {
		f, err := family.Get(tx, identity.TenantFrom(ctx).ID, named)
		if err != nil {
			return err
		}
		if _, err := p.families.Live(tx, f); err != nil {
			return err
		}
		app := asks
		if app == nil || app.ID != f.Application {
			if app, _, err = federation.Get(tx, f.Tenant, f.Application); err != nil {
				return err
			}
		}
		if may, err := federation.MayUse(tx, app, f.UserID); err != nil || !may {
			return errors.Join(err, family.ErrDead)
		}
		return also(tx, f, app)
	})
	if errors.Is(err, family.ErrDead) || errors.Is(err, fsm.ErrNotFound) {
		return errBadToken
	}
	return err
}
