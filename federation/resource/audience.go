package resource

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// MaxTargets is how many resources one request may name.
const MaxTargets = 8

func badTarget(why string) error { return &identity.Error{Kind: ErrTarget, Detail: why} }

// A Target is what a token is for: who may read it, and what it is like.
type Target struct {
	Audience []string // the claim aud, in the order of the request
	Servers  []Server // those of the audience that are registered
	Issuer   bool     // the issuer itself is among them, so its own endpoints take the token

	expiry int64
	alg    string
}

// Aim finds the resource servers that an application asks for by their URIs (RFC 8707).
// Without any the token is for the issuer, as it is without any of this. The issuer needs
// no registration; if it has one, that holds for whoever names it. It reports ErrTarget.
func Aim(tx *fsm.Tx, app *federation.Application, issuer string, uris []string) (*Target, error) {
	if len(uris) > MaxTargets {
		return nil, badTarget(fmt.Sprintf("A request may name at most %d resources.", MaxTargets))
	}
	if len(uris) == 0 {
		return &Target{Audience: []string{issuer}, Issuer: true}, nil
	}
	t := &Target{}
	for _, uri := range uris {
		if slices.Contains(t.Audience, uri) {
			continue
		}
		t.Audience = append(t.Audience, uri)
		if uri == issuer {
			t.Issuer = true
		}
		if err := t.add(tx, app, uri, uri == issuer); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Target) add(tx *fsm.Tx, app *federation.Application, uri string, issuer bool) error {
	if !issuer && wrongIdentifier(uri) != "" {
		return badTarget("A resource must be an absolute URI without query and fragment.")
	}
	s, err := ByIdentifier(tx, app.Tenant, uri)
	if errors.Is(err, fsm.ErrNotFound) && issuer {
		return nil
	}
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !s.MayAsk(app.ID) {
		return badTarget("The resource is not known, or not for this application.")
	}
	if err != nil {
		return err
	}
	t.Servers = append(t.Servers, *s)
	if s.TokenExpiry > 0 && (t.expiry == 0 || s.TokenExpiry < t.expiry) {
		t.expiry = s.TokenExpiry
	}
	if s.SigningAlg != "" && t.alg != "" && s.SigningAlg != t.alg {
		return badTarget("These resources want tokens of different signing algorithms; ask for them one at a time.")
	}
	if s.SigningAlg != "" {
		t.alg = s.SigningAlg
	}
	return nil
}

// Expiry is how long the token is good, in seconds: the shortest that one of the
// resource servers wants, else the application's.
func (t *Target) Expiry(app *federation.Application) int64 {
	if t.expiry > 0 {
		return t.expiry
	}
	return app.TokenExpiry
}

// SigningAlg is what the token is signed with: what the resource servers want, else the application's.
func (t *Target) SigningAlg(app *federation.Application) string {
	if t.alg != "" {
		return t.alg
	}
	return app.SigningAlg
}

// Scopes keeps those scopes that mean something to the target: of none in particular, or
// of one of its resource servers. A token for the issuer alone keeps them all, as ever.
func (t *Target) Scopes(tx *fsm.Tx, tenant string, granted []string) ([]string, error) {
	if t.issuerOnly() {
		return granted, nil
	}
	var kept []string
	for _, name := range granted {
		s, err := Describe(tx, tenant, name)
		if err != nil {
			return nil, err
		}
		if s.Resource == "" || slices.ContainsFunc(t.Servers, func(srv Server) bool { return srv.ID == s.Resource }) {
			kept = append(kept, name)
		}
	}
	return kept, nil
}

// Details keeps those details whose type belongs to one of the target's resource servers:
// a token tells each API what concerns it. One for the issuer alone keeps them all.
func (t *Target) Details(granted []Detail) []Detail {
	if t.issuerOnly() {
		return granted
	}
	var kept []Detail
	for _, d := range granted {
		if slices.ContainsFunc(t.Servers, func(s Server) bool { return s.knows(d.Type) }) {
			kept = append(kept, d)
		}
	}
	return kept
}

func (t *Target) issuerOnly() bool { return t.Issuer && len(t.Audience) == 1 }

func (s *Server) knows(detailType string) bool {
	return slices.ContainsFunc(s.Details, func(t DetailType) bool { return t.Name == detailType })
}

// MayIntrospect reports whether the application is the resource server of one of the
// audiences of a token (RFC 7662, section 4: whom the answer is for).
func MayIntrospect(tx *fsm.Tx, app *federation.Application, audience []string) (bool, error) {
	for _, uri := range audience {
		s, err := ByIdentifier(tx, app.Tenant, uri)
		if errors.Is(err, fsm.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if !s.Disabled && s.Application == app.ID {
			return true, nil
		}
	}
	return false, nil
}
