package register

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// Path is the registration endpoint within a tenant.
const Path = "/oauth2/register"

// Config is what the endpoint works on. DB, Ring, Fetch, Fresh and Logger must be set.
type Config struct {
	DB    *fsm.DB
	Ring  *seal.Ring
	Fetch *fetch.Client
	// Fresh returns nil if this node's state is recent enough to say yes without an entry in the log.
	Fresh func(context.Context) error
	// Modern makes sure that every member knows what an application may register; nil: they do.
	Modern func(context.Context) error
	// Wait says how long an address has to wait before it may send another request; nil: never.
	Wait   func(address string) time.Duration
	Logger *slog.Logger
}

// An Endpoint is the registration endpoint of all tenants.
type Endpoint struct{ cfg Config }

// New returns the endpoint. It panics if the configuration lacks what it must have.
func New(c Config) *Endpoint {
	if c.DB == nil || c.Ring == nil || c.Fetch == nil || c.Fresh == nil || c.Logger == nil {
		panic("register: incomplete configuration")
	}
	c.Fetch = c.Fetch.Apart()
	return &Endpoint{cfg: c}
}

// Routes mounts the endpoint. The paths are those within a tenant.
func (e *Endpoint) Routes(mux *http.ServeMux) {
	for pattern, do := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST " + Path:                    e.register,
		"GET " + Path + "/{client_id}":    e.show,
		"PUT " + Path + "/{client_id}":    e.change,
		"DELETE " + Path + "/{client_id}": e.remove,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*") // no cookie is looked at
			err := e.held(r)
			if err == nil {
				err = do(w, r)
			}
			if err != nil {
				e.refuse(w, r, err)
			}
		})
	}
	for _, path := range []string{Path, Path + "/{client_id}"} {
		mux.HandleFunc("OPTIONS "+path, preflight)
	}
}

func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
}

func (e *Endpoint) held(r *http.Request) error {
	if e.cfg.Wait == nil {
		return nil
	}
	if wait := e.cfg.Wait(identity.RequestFrom(r.Context()).Network()); wait > 0 {
		return identity.Limited("Too many requests.", wait)
	}
	return nil
}

// bearer returns the token of the Authorization header, "" if there is none.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || len(token) > 500 {
		return "", errBadToken
	}
	return strings.TrimSpace(token), nil
}

func body(r *http.Request) (*members, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, fault(codeRequest, "The Content-Type must be application/json.")
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxMetadata+1))
	if err != nil {
		return nil, fault(codeRequest, "The body cannot be read.")
	}
	return parse(data)
}

// register makes an application (RFC 7591, section 3): one entry in the log, and none
// if it is refused.
func (e *Endpoint) register(w http.ResponseWriter, r *http.Request) error {
	t := identity.TenantFrom(r.Context())
	initial, err := bearer(r)
	if err != nil {
		return err
	}
	if err := e.admit(r.Context(), t.ID, initial); err != nil {
		return err
	}
	m, err := body(r)
	if err != nil {
		return err
	}
	if m.ClientID != "" || m.ClientSecret != "" {
		return fault(codeMetadata, "client_id and client_secret are given, not chosen.")
	}
	var access, secret string
	var made *federation.Application
	build := func(tx *fsm.Tx, p *Policy) (*federation.Application, error) {
		a := &federation.Application{Tenant: t.ID, ShowInDashboard: false}
		a.Registration.Kind = federation.RegisteredByClient
		if err := m.onto(a, p); err != nil {
			return nil, err
		}
		p.impose(a, tx.Now())
		return a, p.permits(a)
	}
	if err := e.prepare(r.Context(), t.ID, build); err != nil {
		return err
	}
	err = e.cfg.DB.Update(r.Context(), func(tx *fsm.Tx) error {
		p, used, err := e.allow(tx, t.ID, initial)
		if err != nil {
			return err
		}
		a, err := build(tx, p)
		if err != nil {
			return err
		}
		a.Registration.Initial = used
		if access, err = e.giveAccess(a); err != nil {
			return err
		}
		made = a
		secret, err = federation.Create(tx, e.cfg.Ring, a, "")
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = errBadToken // the initial access token is the only thing that is looked for
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, e.described(t, made, secret, access))
	return nil
}

// admit refuses early who has no business here, before the body is read and any URL in it is looked at.
func (e *Endpoint) admit(ctx context.Context, tenant, initial string) error {
	err := e.cfg.DB.Read(ctx, func(tx *fsm.Tx) error {
		p, _, err := GetPolicy(tx, tenant)
		if err != nil {
			return err
		}
		if err := p.admits(initial); err != nil || initial == "" {
			return err
		}
		_, err = good(tx, e.cfg.Ring, tenant, initial)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return errBadToken
	}
	return err
}

func (p *Policy) admits(initial string) error {
	switch {
	case p.Mode == "" || p.Mode == Closed:
		return fault(codeDenied, "Applications are registered by administrators here.")
	case p.Mode == Token && initial == "":
		return errBadToken
	}
	return nil
}

// allow decides within the transaction whether there may be one more, and spends the token.
func (e *Endpoint) allow(tx *fsm.Tx, tenant, initial string) (*Policy, string, error) {
	p, _, err := GetPolicy(tx, tenant)
	if err != nil {
		return nil, "", err
	}
	if err := p.admits(initial); err != nil {
		return nil, "", err
	}
	full, err := p.full(tx, federation.RegisteredByClient)
	if err != nil {
		return nil, "", err
	}
	if full {
		return nil, "", fault(codeDenied, "As many applications as may be have registered themselves already.")
	}
	if initial == "" {
		return p, "", nil
	}
	id, err := spend(tx, e.cfg.Ring, tenant, initial)
	return p, id, err
}

// prepare looks at what cannot be looked at within the transaction.
func (e *Endpoint) prepare(ctx context.Context, tenant string, build func(*fsm.Tx, *Policy) (*federation.Application, error)) error {
	var a *federation.Application
	err := e.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		p, _, err := GetPolicy(tx, tenant)
		if err != nil {
			return err
		}
		a, err = build(tx, p)
		return err
	})
	if err != nil {
		return err
	}
	a.TokenExpiry = federation.DefaultTokenExpiry
	if err := a.Check(); err != nil { // nothing is fetched for what would be refused anyway
		return err
	}
	if e.cfg.Modern != nil {
		if err := e.cfg.Modern(ctx); err != nil {
			return err
		}
	}
	return CheckURLs(ctx, e.cfg.Fetch, &federation.Application{}, a)
}

// giveAccess makes the registration access token of an application (RFC 7592, section 3).
func (e *Endpoint) giveAccess(a *federation.Application) (string, error) {
	key, value := e.cfg.Ring.CurrentKey(), accessPrefix+random()
	mac, err := e.cfg.Ring.MAC(accessPurpose, key, message(a.Tenant, value))
	if err != nil {
		return "", fmt.Errorf("registration access token: %w", err)
	}
	a.Registration.Key, a.Registration.MAC = key, mac[:]
	return value, nil
}

// A description is the client information response (RFC 7591, section 3.2.1).
type description struct {
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret,omitempty"`
	IssuedAt      int64  `json:"client_id_issued_at"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	Access        string `json:"registration_access_token"`
	URI           string `json:"registration_client_uri"`
	Metadata
}

func (e *Endpoint) described(t identity.Tenant, a *federation.Application, secret, access string) description {
	d := description{
		ClientID: a.ClientID, ClientSecret: secret, IssuedAt: a.Created.Unix(), Access: access, URI: t.Issuer + Path + "/" + a.ClientID, Metadata: metadataOf(a),
	}
	if secret != "" {
		d.SecretExpires = new(int64)
	}
	return d
}
