package resource

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	maxIdentifier = 500 // bytes
	maxAllowed    = 200 // applications
	minExpiry     = 60  // seconds
	maxExpiry     = 24 * 3600
)

// check cleans s and reports the first field that cannot be accepted.
func (s *Server) check(tx *fsm.Tx) (err error) {
	if s.Tenant == "" {
		return identity.Invalid("tenant", "must be set")
	}
	if why := wrongIdentifier(s.Identifier); why != "" {
		return identity.Invalid("identifier", why)
	}
	if s.Name, err = cleanName("name", s.Name, true); err != nil {
		return err
	}
	if len(s.Description) > maxDescription {
		return identity.Invalid("description", fmt.Sprintf("must have at most %d bytes", maxDescription))
	}
	s.Description = identity.Printable(s.Description, maxDescription)
	if s.TokenFormat == "" {
		s.TokenFormat = FormatJWT
	}
	if s.TokenFormat != FormatJWT {
		return identity.Invalid("token_format", "must be jwt: opaque tokens are not offered; the resource server may introspect a JWT as well")
	}
	if s.TokenExpiry != 0 && (s.TokenExpiry < minExpiry || s.TokenExpiry > maxExpiry) {
		return identity.Invalid("token_expiry", fmt.Sprintf("must be %d to %d seconds, or 0 for the application's", minExpiry, maxExpiry))
	}
	if !slices.Contains([]string{"", "ES256", "RS256", "PS256", "EdDSA"}, s.SigningAlg) {
		return identity.Invalid("signing_alg", "must be ES256, RS256, PS256 or EdDSA, or empty for the application's")
	}
	if err := s.checkApplications(tx); err != nil {
		return err
	}
	return checkTypes(s.Details)
}

// wrongIdentifier says why a URI cannot name a resource server (RFC 8707, section 2):
// absolute, without a fragment. A query is allowed there; here it is not, since it is
// what a URI that was copied from somewhere has by accident.
func wrongIdentifier(raw string) string {
	if raw == "" || len(raw) > maxIdentifier {
		return fmt.Sprintf("must have 1 to %d bytes", maxIdentifier)
	}
	for i := range len(raw) {
		if raw[i] <= 0x20 || raw[i] >= 0x7f || strings.IndexByte("\"\\<>^`{|}", raw[i]) >= 0 {
			return "holds a character that no URI may have"
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Scheme == "", u.Opaque == "" && u.Host == "":
		return "must be an absolute URI, such as https://api.example.com"
	case slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob"}, strings.ToLower(u.Scheme)):
		return "scheme " + u.Scheme + " names no resource server"
	case strings.Contains(raw, "#"):
		return "must not have a fragment (RFC 8707, section 2)"
	case strings.Contains(raw, "?"):
		return "must not have a query"
	case u.User != nil:
		return "must not have a user part before the host"
	}
	return ""
}

// checkApplications refuses names of applications that do not exist, which would be a
// permission for nobody. One that is deleted later keeps its place; its ID never returns.
func (s *Server) checkApplications(tx *fsm.Tx) error {
	if len(s.Allowed) > maxAllowed {
		return identity.Invalid("allowed_applications", fmt.Sprintf("must be at most %d", maxAllowed))
	}
	for i, id := range s.Allowed {
		if slices.Contains(s.Allowed[:i], id) {
			return identity.Invalid("allowed_applications", identity.Printable(id, 64)+" is given twice")
		}
	}
	if s.Application == "" {
		return nil
	}
	a, _, err := federation.Get(tx, s.Tenant, s.Application)
	if errors.Is(err, fsm.ErrNotFound) {
		return identity.Invalid("application_id", "there is no such application")
	}
	if err == nil && a.IsPublic {
		return identity.Invalid("application_id", "must keep a secret, or anybody could ask about its tokens")
	}
	return err
}

// MayAsk reports whether the application with this ID may be given tokens for s.
func (s *Server) MayAsk(application string) bool {
	return !s.Disabled && (s.OpenToAll || slices.Contains(s.Allowed, application))
}
