package federation

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// A pairwiseSecret makes the pairwise subjects of one tenant. It never changes: with
// another one, everybody would be a stranger to every such application.
//
// It is not sealed. Whoever reads the store reads the users' IDs, which is all that it
// hides; and what is sealed depends on a sealing key, which may be retired. What matters
// is that it is in the store from the moment at which the first pairwise application is
// (see settleSubject): a backup that has the one has the other, so that after a
// restore everybody is still called the same.
type pairwiseSecret struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	Secret []byte `cbor:"2,keyasint,omitempty"`
}

// LogValue keeps the secret out of logs.
func (s pairwiseSecret) LogValue() slog.Value {
	return slog.StringValue("pairwise secret of " + s.Tenant)
}

var pairwiseSecrets = fsm.NewTable(106, "pairwise_secrets", fsm.Spec[pairwiseSecret]{
	Scope: func(s *pairwiseSecret) fsm.Scope { return fsm.Scope(s.Tenant) },
	Key:   func(*pairwiseSecret) fsm.Key { return fsm.K("secret") },
})

// settleSubject decides on the sector of a pairwise application, and makes the tenant's
// secret if this is the first one.
func settleSubject(tx *fsm.Tx, a *Application) error {
	switch a.Subject.Type {
	case "", SubjectPublic:
		a.Subject.Sector = ""
		return nil
	case SubjectPairwise:
	default:
		return identity.Invalid("subject_type", "must be public or pairwise")
	}
	var err error
	if a.Subject.Sector, err = a.sector(); err != nil {
		return err
	}
	has, err := pairwiseSecrets.Has(tx, fsm.Scope(a.Tenant), fsm.K("secret"))
	if err != nil || has {
		return err
	}
	s := &pairwiseSecret{Tenant: a.Tenant, Secret: make([]byte, sha256.Size)}
	rand.Read(s.Secret)
	return pairwiseSecrets.Insert(tx, s)
}

// sector is what the application shares its pairwise subjects by: the host of its
// sector_identifier_uri, or the one host of its redirect URIs. It follows them when they
// change, for else whoever registers himself could first claim the host of another. An
// application without a host of its own, or on loopback, is a sector of its own.
func (a *Application) sector() (string, error) {
	uris := a.RedirectURIs
	if a.Subject.SectorURI != "" {
		uris = []string{a.Subject.SectorURI}
	}
	sector := ""
	for _, raw := range uris {
		u, err := url.Parse(raw)
		if err != nil || strings.HasPrefix(raw, "regex:") {
			return "", identity.Invalid("sector_identifier_uri", "is needed for pairwise subjects, since a redirect URI has no one host")
		}
		own := strings.ToLower(u.Hostname())
		if ip, err := netip.ParseAddr(own); own == "" || own == "localhost" || err == nil && ip.IsLoopback() {
			own = a.ID
		}
		if sector != "" && sector != own {
			return "", identity.Invalid("sector_identifier_uri", "is needed for pairwise subjects, since the redirect URIs have several hosts")
		}
		sector = own
	}
	if sector == "" {
		return a.ID, nil
	}
	return sector, nil
}

// SubjectOf returns what the application calls the user, in every token, answer and
// notice: the user's ID or, if it is pairwise, a name that applications of another
// sector cannot connect with theirs, nor with the ID (OpenID Connect Core, section 8.1). All
// applications of one sector know the user by one name.
func SubjectOf(tx *fsm.Tx, a *Application, userID string) (string, error) {
	if a.Subject.Type != SubjectPairwise {
		return userID, nil
	}
	s, err := pairwiseSecrets.Get(tx, fsm.Scope(a.Tenant), fsm.K("secret"))
	if errors.Is(err, fsm.ErrNotFound) {
		// Not a miss that a caller may take for a user who is gone.
		return "", fmt.Errorf("pairwise secret of %s is missing: %w", a.Tenant, fsm.ErrCorrupt)
	}
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, s.Secret)
	fmt.Fprintf(mac, "%d:%s%s", len(a.Subject.Sector), a.Subject.Sector, userID)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// IsSubject reports whether sub, from a token that the application presents, means the
// user. A pairwise subject cannot be turned back into an ID: it is made again and compared.
func IsSubject(tx *fsm.Tx, a *Application, sub, userID string) (bool, error) {
	own, err := SubjectOf(tx, a, userID)
	return err == nil && subtle.ConstantTimeCompare([]byte(own), []byte(sub)) == 1, err
}
