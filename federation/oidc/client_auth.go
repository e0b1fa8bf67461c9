package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// credentials are what a request says about who sends it: exactly one method.
type credentials struct {
	clientID string
	secrets  []string // spellings of the one secret; none: method "none"
}

var (
	errClient  = refuse(codeInvalidClient, "Client authentication failed.")
	errMethods = refuse(codeInvalidRequest, "More than one way of client authentication was used.")
)

// readCredentials accepts client_secret_basic, client_secret_post or none (OpenID Connect Core, section 9).
func readCredentials(r *http.Request, form url.Values) (credentials, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		return credentials{}, refuse(codeInvalidClient, "Client assertions are not supported.")
	}
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) > 1:
		return credentials{}, errMethods
	case len(headers) == 0 && id == "":
		return credentials{}, refuse(codeInvalidClient, "No client authentication was included.")
	case len(headers) == 0 && secret == "":
		return credentials{clientID: id}, nil
	case len(headers) == 0:
		return credentials{id, []string{secret}}, nil
	case secret != "":
		return credentials{}, errMethods
	}
	c, ok := readBasic(headers[0])
	if !ok {
		return credentials{}, refuse(codeInvalidClient, "The Authorization header cannot be read.")
	}
	if id != "" && id != c.clientID {
		return credentials{}, errMethods
	}
	return c, nil
}

// readBasic reads HTTP Basic credentials, whose parts are form-encoded (RFC 6749,
// section 2.3.1). Many clients forget to encode; the secret is therefore also
// tried as it stands.
func readBasic(header string) (credentials, bool) {
	scheme, blob, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(blob) > 2048 {
		return credentials{}, false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(blob))
	if err != nil {
		return credentials{}, false
	}
	id, secret, ok := strings.Cut(string(raw), ":")
	if !ok || secret == "" {
		return credentials{}, false
	}
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	secrets := []string{secret}
	if plain, err := url.QueryUnescape(secret); err == nil && plain != secret {
		secrets = append(secrets, plain)
	}
	return credentials{id, secrets}, true
}

// authenticate returns the application that sends r. It reports invalid_client
// for whoever it is not, and errors of the store as they are: an outage is not a
// wrong secret. It does the same work for a client that does not exist.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values) (*federation.Application, error) {
	c, err := readCredentials(r, form)
	if err != nil {
		return nil, err
	}
	app, err := p.application(ctx, c.clientID)
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return nil, err
	}
	if len(c.secrets) == 0 {
		if app == nil || !app.IsPublic || app.Disabled {
			return nil, errClient
		}
		return app, nil
	}
	matched := false
	for _, s := range c.secrets {
		ok, err := federation.CheckSecret(p.ring, app, s)
		if err != nil {
			return nil, err
		}
		matched = matched || ok
	}
	if !matched || app.Disabled {
		return nil, errClient
	}
	return app, nil
}

// application looks an application up by its client_id within the tenant of ctx. Its
// secrets, redirect URIs and being there at all are reasons to say yes, so they are read
// from a state that is fresh: one that becomes so afterwards would not change the row.
func (p *Provider) application(ctx context.Context, clientID string) (app *federation.Application, err error) {
	if clientID == "" || len(clientID) > 256 {
		return nil, fsm.ErrNotFound
	}
	if err := p.fresh(ctx); err != nil {
		return nil, fmt.Errorf("application: %w", err)
	}
	t := identity.TenantFrom(ctx)
	err = p.lookup(ctx, func(tx *fsm.Tx) error {
		if t.ID != identity.DefaultTenant { // the front door looked before the state was fresh
			stored, _, err := directory.GetTenant(tx, t.ID)
			if err != nil {
				return err
			}
			if stored.Disabled {
				return fsm.ErrNotFound
			}
		}
		app, err = federation.ByClientID(tx, t.ID, clientID)
		return err
	})
	return app, err
}
