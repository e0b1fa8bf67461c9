package certificate

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// maxCertificates of one user that were added; as many that were only seen.
const maxCertificates = 20

// By what an added certificate is known again.
const (
	ByFingerprint  = "fingerprint"   // this very certificate
	ByIssuerSerial = "issuer_serial" // the issuer's name and the number that it gave
	BySubject      = "subject"       // the subject's name: those that come after it, too
)

// A Certificate is one that signs a user in: because it was added to them, or, as rules led to
// them from it, for people to see what was used.
type Certificate struct {
	ID        string    `cbor:"1,keyasint,omitempty"` // crt_…
	Tenant    string    `cbor:"2,keyasint,omitempty"`
	UserID    string    `cbor:"3,keyasint,omitempty"`
	Authority string    `cbor:"4,keyasint,omitempty"` // ID; of no use under another one
	By        string    `cbor:"5,keyasint,omitempty"` // ByFingerprint …; empty: only seen
	Match     []byte    `cbor:"6,keyasint,omitempty"` // SHA-256 of what By says
	Name      string    `cbor:"7,keyasint,omitempty"` // what the person calls it; may be empty
	Title     string    `cbor:"8,keyasint,omitempty"` // the subject's name
	NotAfter  time.Time `cbor:"9,keyasint,omitempty"`
	Created   time.Time `cbor:"10,keyasint,omitempty"`
	LastUsed  time.Time `cbor:"11,keyasint,omitempty"` // zero: never
	Print     []byte    `cbor:"12,keyasint,omitempty"` // SHA-256 of the certificate that was added or seen last
	Number    []byte    `cbor:"13,keyasint,omitempty"` // its serial number; none in what an older release wrote, until it is used
	Issued    bool      `cbor:"14,keyasint,omitempty"` // by the authority itself, whose list then says whether it is revoked
}

var (
	certificates = fsm.NewTable(76, "certificates", fsm.Spec[Certificate]{
		Scope: func(c *Certificate) fsm.Scope { return fsm.Scope(c.Tenant) },
		Key:   func(c *Certificate) fsm.Key { return fsm.K(c.UserID, c.ID) },
	})
	// One certificate is added to one user: what two of them have would be nobody's.
	certificatesByMatch = certificates.Unique(1, "match", func(c *Certificate) []fsm.Key {
		if c.By == "" {
			return nil
		}
		return []fsm.Key{fsm.K(c.Authority, c.By, string(c.Match))}
	})
	certificatesByAuthority = certificates.Index(2, "authority", func(c *Certificate) []fsm.Key {
		return []fsm.Key{fsm.K(c.Authority)}
	})
)

// match is what a certificate is known by; nil for a way there is none of.
func (n *Names) match(by string) []byte {
	switch by {
	case ByFingerprint:
		return n.Fingerprint
	case ByIssuerSerial:
		sum := sha256.Sum256(append(slices.Clone(n.Issuer), n.Number...))
		return sum[:]
	case BySubject:
		return n.Subject
	}
	return nil
}

// added returns the users to whom a certificate was added, in whatever way it is known.
func added(tx *fsm.Tx, a *Authority, n *Names) (users []*directory.User, err error) {
	for _, by := range []string{ByFingerprint, ByIssuerSerial, BySubject} {
		c, err := certificatesByMatch.Get(tx, fsm.Scope(a.Tenant), fsm.K(a.ID, by, string(n.match(by))))
		var u *directory.User
		if err == nil {
			u, _, err = directory.GetUser(tx, a.Tenant, c.UserID)
		}
		if errors.Is(err, fsm.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// Bind adds a certificate, which a says is good, to a user. It reports identity.ErrInvalid if its
// authority has no rule for certificates that were added, or the user too many, fsm.ErrExists if
// it is somebody's already, and fsm.ErrNotFound if there is no such user.
func Bind(tx *fsm.Tx, a *Authority, n *Names, userID, by, name string) (*Certificate, error) {
	match := n.match(by)
	if match == nil {
		return nil, identity.Invalid("by", "must be one of fingerprint, issuer_serial, subject")
	}
	if !slices.Contains(a.Rules, Rule{From: FromAdded}) {
		return nil, identity.Invalid("certificate", "Certificates of this authority cannot be added: it has no rule for them.")
	}
	if _, _, err := directory.GetUser(tx, a.Tenant, userID); err != nil {
		return nil, err
	}
	mine, err := Of(tx, a.Tenant, userID)
	if err != nil {
		return nil, err
	}
	if len(slices.DeleteFunc(mine, func(c Certificate) bool { return c.By == "" })) >= maxCertificates {
		return nil, identity.Invalid("certificate", fmt.Sprintf("There are %d certificates already. Remove one first.", maxCertificates))
	}
	if _, err := certificatesByMatch.Get(tx, fsm.Scope(a.Tenant), fsm.K(a.ID, by, string(match))); !errors.Is(err, fsm.ErrNotFound) {
		if err == nil {
			err = identity.Exists("certificate", "This certificate was added already.")
		}
		return nil, err
	}
	c := &Certificate{
		ID: identity.NewID(identity.PrefixCertificate), Tenant: a.Tenant, UserID: userID, Authority: a.ID, By: by, Match: match,
		Name: strings.TrimSpace(identity.Printable(name, maxName)), Title: n.Title, NotAfter: n.NotAfter, Created: tx.Now(), Print: n.Fingerprint,
		Number: n.Number, Issued: n.Issued,
	}
	if err := certificates.Insert(tx, c); err != nil {
		return nil, err
	}
	return c, c.tell(tx, event.CertificateAdded)
}

// Of returns a user's certificates, the oldest first.
func Of(tx *fsm.Tx, tenant, userID string) ([]Certificate, error) {
	var all []Certificate
	for c, err := range certificates.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID))) {
		if err != nil {
			return nil, err
		}
		all = append(all, *c)
	}
	return all, nil
}

// One returns one of a user's certificates, or fsm.ErrNotFound.
func One(tx *fsm.Tx, tenant, userID, id string) (*Certificate, error) {
	return certificates.Get(tx, fsm.Scope(tenant), fsm.K(userID, id))
}

// Rename gives a user's certificate another name, also one that only rules make theirs. It reports
// fsm.ErrNotFound, and identity.ErrInvalid for an empty name.
func Rename(tx *fsm.Tx, tenant, userID, id, name string) error {
	c, err := One(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	before := c.Name
	if c.Name = strings.TrimSpace(identity.Printable(name, maxName)); c.Name == "" {
		return identity.Invalid("name", "Give the certificate a name.")
	}
	if c.Name == before {
		return nil
	}
	if err := certificates.Put(tx, c); err != nil {
		return err
	}
	return c.tell(tx, event.CertificateRenamed, event.Change{Field: "name", Before: before, After: c.Name})
}

// Delete removes a user's certificate, or reports fsm.ErrNotFound; the trust in all devices
// ends with one that was added. One that was only seen is forgotten, and let in as before.
func Delete(tx *fsm.Tx, tenant, userID, id string) error {
	c, err := One(tx, tenant, userID, id)
	if err != nil {
		return err
	}
	if err := certificates.Delete(tx, fsm.Scope(tenant), fsm.K(userID, id)); err != nil || c.By == "" {
		return err
	}
	if err := c.tell(tx, event.CertificateRemoved); err != nil {
		return err
	}
	return device.Forfeit(tx, tenant, userID, "certificate removed", assurance.Certificate, "")
}

// DeleteAllOf removes the certificates of a user who is being deleted, without events.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error {
	all, err := Of(tx, tenant, userID)
	for _, c := range all {
		if err := certificates.Delete(tx, fsm.Scope(tenant), fsm.K(userID, c.ID)); err != nil {
			return err
		}
	}
	return err
}

// DeleteTenant removes the authorities and certificates of a tenant that is being deleted.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for c, err := range certificates.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := certificates.Delete(tx, fsm.Scope(tenant), fsm.K(c.UserID, c.ID)); err != nil {
			return err
		}
	}
	all, err := List(tx, tenant)
	for _, a := range all {
		if err := removeList(tx, tenant, a.ID); err != nil {
			return err
		}
		if err := authorities.Delete(tx, fsm.Scope(tenant), fsm.K(a.ID)); err != nil {
			return err
		}
	}
	return err
}

// A Shown is a certificate that a browser has shown, and that was found good: what the
// transaction that finishes the sign-in needs of it.
type Shown struct {
	Authority string    `cbor:"1,keyasint,omitempty"` // ID
	Names     Names     `cbor:"2,keyasint,omitempty"`
	At        time.Time `cbor:"3,keyasint,omitempty"`
	Unchecked bool      `cbor:"4,keyasint,omitempty"` // it could not be learned whether it was revoked

	// Where it says that can be asked about it; Again: its authority has issued it, and these are all.
	OCSP  []string `cbor:"5,keyasint,omitempty"`
	CRL   []string `cbor:"6,keyasint,omitempty"`
	Again bool     `cbor:"7,keyasint,omitempty"`
}

// maxAddresses bounds what of a certificate's addresses is carried from where it was shown to where
// it is used, in bytes.
const maxAddresses = 400

// Show is c's certificate as it is carried to the end of a sign-in.
func (c *Chain) Show(names *Names, at time.Time, unchecked bool) *Shown {
	s := &Shown{Authority: c.Authority.ID, Names: *names, At: at, Unchecked: unchecked}
	s.Names.Issued = len(c.Certs) == 2
	ocsp, crl := first(c.Certs[0].OCSPServer), first(c.Certs[0].CRLDistributionPoints)
	if s.Names.Issued && len(strings.Join(slices.Concat(ocsp, crl), "")) <= maxAddresses {
		s.OCSP, s.CRL, s.Again = ocsp, crl, true
	}
	return s
}

// Chain is as much of the chain of a shown certificate as is needed to ask anew whether it was
// revoked: its number, and a, which has issued it. It is nil if another has, or if it names more
// addresses than are carried.
func (s *Shown) Chain(a *Authority) (*Chain, error) {
	if !s.Again {
		return nil, nil
	}
	issuer, err := a.Parsed()
	if err != nil {
		return nil, err
	}
	number := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(s.Names.Number), OCSPServer: s.OCSP, CRLDistributionPoints: s.CRL}
	return &Chain{Authority: a, Certs: []*x509.Certificate{number, issuer}}, nil
}

// Owner returns whose a shown certificate is, by what holds now: its authority must still be
// trusted, and neither its time be over nor it be on the authority's uploaded list. It reports
// *Refused, which is fsm.ErrNotFound as well where a node that is behind should look again.
func (s *Shown) Owner(tx *fsm.Tx, tenant string) (*Authority, *directory.User, error) {
	a, err := s.stands(tx, tenant)
	if err != nil {
		return nil, nil, err
	}
	u, err := a.Match(tx, &s.Names)
	return a, u, err
}

// stands returns the authority of a shown certificate, if it is still good, whoever's it is.
func (s *Shown) stands(tx *fsm.Tx, tenant string) (*Authority, error) {
	a, _, err := Get(tx, tenant, s.Authority)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", refuse(Untrusted, nil), err)
	}
	if err != nil {
		return nil, err
	}
	if !tx.Now().Before(s.Names.NotAfter) {
		return nil, refuse(Expired, nil)
	}
	if s.Names.Issued {
		_, revoked, err := Listed(tx, tenant, a.ID, s.Names.Number)
		if err != nil {
			return nil, err
		}
		if revoked {
			return nil, refuse(Revoked, nil)
		}
	}
	return a, nil
}

// Accept checks, in the transaction that finishes a sign-in, that a shown certificate is still
// this user's, and notes that it was used. Errors are those of Owner.
func Accept(tx *fsm.Tx, tenant, userID string, s *Shown) error {
	a, u, err := s.Owner(tx, tenant)
	if err != nil {
		return err
	}
	if u.ID != userID {
		return refuse(Other, nil)
	}
	mine, err := Of(tx, tenant, userID)
	if err != nil {
		return err
	}
	known := false
	seen := &Certificate{
		ID: identity.NewID(identity.PrefixCertificate), Tenant: tenant, UserID: userID, Authority: a.ID, Created: tx.Now(), Print: s.Names.Fingerprint,
	}
	var former []Certificate // that were only seen
	for _, c := range mine {
		switch {
		case c.By != "" && c.Authority == a.ID && string(c.Match) == string(s.Names.match(c.By)):
			seen, known = &c, true
		case c.By == "" && c.Authority == a.ID && string(c.Print) == string(s.Names.Fingerprint) && seen.By == "":
			seen, known = &c, true
		case c.By == "":
			former = append(former, c)
		}
	}
	for ; !known && len(former) >= maxCertificates; former = former[1:] {
		if err := certificates.Delete(tx, fsm.Scope(tenant), fsm.K(userID, former[0].ID)); err != nil {
			return err
		}
	}
	seen.LastUsed, seen.Title, seen.NotAfter, seen.Print = tx.Now(), s.Names.Title, s.Names.NotAfter, s.Names.Fingerprint
	seen.Number, seen.Issued = s.Names.Number, s.Names.Issued
	return certificates.Put(tx, seen)
}

// Called is what people know c by.
func (c *Certificate) Called() string { return cmp.Or(c.Name, c.Title) }

func (c *Certificate) tell(tx *fsm.Tx, what event.Type, changes ...event.Change) error {
	return event.Append(tx, event.Event{
		Tenant: c.Tenant, Type: what, Target: event.Target{Kind: "certificate", ID: c.ID, Name: c.Called()}, Changes: changes,
		Data: map[string]string{"user_id": c.UserID, "authority": c.Authority, "by": c.By},
	})
}

// Add adds a shown certificate, which who has shown it has the key of, to a user as Bind does.
func (s *Shown) Add(tx *fsm.Tx, tenant, userID, name string) error {
	a, err := s.stands(tx, tenant)
	if err != nil {
		return err
	}
	_, err = Bind(tx, a, &s.Names, userID, ByFingerprint, name)
	return err
}
