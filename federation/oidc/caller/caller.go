package caller

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// Config is what callers are found out with. All but Roots must be set.
type Config struct {
	Ring *seal.Ring
	Now  func() time.Time
	// Application looks one up in the tenant of the context: from a state that is fresh,
	// or fsm.ErrNotFound.
	Application func(ctx context.Context, clientID string) (*federation.Application, error)
	Sets        *Sets
	// Roots are who may certify applications with tls_client_auth; nil: nobody.
	Roots *x509.CertPool
}

// Callers finds out who calls.
type Callers struct{ Config }

// New returns a Callers.
func New(c Config) *Callers { return &Callers{c} }

// A Caller is an application that has proven to be itself, or a public one that says so.
type Caller struct {
	App    *federation.Application
	Method string
	// Assertion must be spent before anything is granted; nil: there was none.
	Assertion *Assertion
}

// Spend spends the caller's assertion, if there is one, in the entry of what it brings about.
func (c *Caller) Spend(tx *fsm.Tx) error {
	if c.Assertion == nil {
		return nil
	}
	return c.Assertion.Spend(tx, c.App.Tenant)
}

// strong are the methods that the FAPI 2.0 Security Profile allows, section 5.3.2.1.
var strong = []string{federation.AuthPrivateKeyJWT, federation.AuthTLS, federation.AuthSelfSignedTLS}

// Identify returns who sends r. A *Fault says that it is nobody who can be believed;
// errors of the store are as they are: an outage is not a wrong secret. endpoint is
// the configured URL of what is called, which an assertion may be made out to.
func (c *Callers) Identify(ctx context.Context, r *http.Request, form url.Values, endpoint string) (*Caller, error) {
	given, err := readCredentials(r, form)
	if err != nil {
		return nil, err
	}
	app, err := c.Application(ctx, given.clientID)
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return nil, err
	}
	who := &Caller{App: app, Method: given.method}
	switch {
	case len(given.secrets) > 0:
		err = c.bySecret(app, given.secrets)
	case app == nil || app.Disabled:
		err = errClient
	case given.assertion != "":
		err = c.byAssertion(ctx, who, given.assertion, endpoint)
	default:
		err = c.byCertificate(ctx, who)
	}
	if err != nil {
		return nil, err
	}
	// Only who has proven to know a secret or a key learns which method it should be.
	if !slices.Contains(Methods(app), who.Method) {
		return nil, errMethod
	}
	return who, nil
}

// Methods are those that the application is believed by.
func Methods(app *federation.Application) []string {
	switch {
	case app.Auth.Method != "" && app.Profile == federation.ProfileFAPI2 && !slices.Contains(strong, app.Auth.Method):
		return nil
	case app.Auth.Method == federation.AuthNone && !app.IsPublic:
		return nil
	case app.Auth.Method != "":
		return []string{app.Auth.Method}
	case app.Profile == federation.ProfileFAPI2:
		return nil
	case app.IsPublic:
		return []string{federation.AuthNone}
	}
	return []string{federation.AuthBasic, federation.AuthPost}
}

func (c *Callers) bySecret(app *federation.Application, secrets []string) error {
	matched := false
	for _, s := range secrets {
		ok, err := federation.CheckSecret(c.Ring, app, s)
		if err != nil {
			return err
		}
		matched = matched || ok
	}
	if !matched || app.Disabled {
		return errClient
	}
	return nil
}

// byCertificate takes an application that sent nothing but its client_id: public ones
// need no more; some prove themselves by their certificate.
func (c *Callers) byCertificate(ctx context.Context, who *Caller) error {
	app := who.App
	switch app.Auth.Method {
	case federation.AuthTLS, federation.AuthSelfSignedTLS:
		who.Method = app.Auth.Method
		cert := identity.CertificateFrom(ctx)
		if cert == nil {
			return unknown("The application must send its TLS client certificate, and none arrived here.")
		}
		if app.Auth.Method == federation.AuthTLS {
			return c.certified(app, cert)
		}
		return c.selfSigned(ctx, app, cert)
	}
	if !app.IsPublic {
		return errClient
	}
	return nil
}
