package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// Bounds of authorities.
const (
	maxAuthorities = 20 // of one tenant
	maxName        = 100
	maxDER         = 16 << 10 // bytes of one certificate
	maxURL         = 500
)

// Where the keys of an authority's certificates are kept, as its administrator declares.
const (
	KeySoftware  = "software"   // in files, or wherever
	KeyHardware  = "hardware"   // in a device that does not give them out: a TPM, a token
	KeySmartCard = "smart_card" // on a card
)

// What follows if it cannot be learned whether a certificate has been revoked.
const (
	RevocationRequired = "required" // nobody is let in
	RevocationSoft     = "soft"     // people are let in; what is known to be revoked stays out
	RevocationOff      = "off"      // it is not asked for; an uploaded list counts all the same
)

// An Authority is a CA certificate that a tenant trusts to certify its people. It need not be
// a root: the chain ends at it.
type Authority struct {
	ID          string    `cbor:"1,keyasint,omitempty"` // aut_…
	Tenant      string    `cbor:"2,keyasint,omitempty"`
	Name        string    `cbor:"3,keyasint,omitempty"`
	Certificate []byte    `cbor:"4,keyasint,omitempty"` // DER
	Created     time.Time `cbor:"5,keyasint,omitempty"`

	Key        string `cbor:"6,keyasint,omitempty"`  // KeySoftware …
	Pinless    bool   `cbor:"7,keyasint,omitempty"`  // keys can be used without a PIN or the like: one factor, not two
	Rules      []Rule `cbor:"8,keyasint,omitempty"`  // how people are found; none: nobody is
	Revocation string `cbor:"9,keyasint,omitempty"`  // RevocationRequired …
	CRL        string `cbor:"10,keyasint,omitempty"` // URL of the list of what the authority itself has revoked; "": none
	Ask        bool   `cbor:"11,keyasint,omitempty"` // the addresses of OCSP and lists in certificates are asked
}

var (
	authorities = fsm.NewTable(74, "certificate_authorities", fsm.Spec[Authority]{
		Scope: func(a *Authority) fsm.Scope { return fsm.Scope(a.Tenant) },
		Key:   func(a *Authority) fsm.Key { return fsm.K(a.ID) },
	})
	authoritiesByKey = authorities.Unique(1, "certificate", func(a *Authority) []fsm.Key {
		sum := sha256.Sum256(a.Certificate)
		return []fsm.Key{fsm.K(string(sum[:]))}
	})
)

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{authorities, lists, certificates}

// Parsed returns the authority's certificate.
func (a *Authority) Parsed() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", a.ID, err)
	}
	return cert, nil
}

// ParsePEM reads one certificate from PEM, or from bare DER. It reports identity.ErrInvalid,
// field certificate.
func ParsePEM(text []byte) (*x509.Certificate, error) {
	wrong := func(why string) (*x509.Certificate, error) { return nil, identity.Invalid("certificate", why) }
	if len(text) > 2*maxDER {
		return wrong("is too large for a certificate")
	}
	der := text
	if block, rest := pem.Decode(text); block != nil {
		if block.Type != "CERTIFICATE" {
			return wrong("must be a PEM block of type CERTIFICATE")
		}
		if next, _ := pem.Decode(rest); next != nil {
			return wrong("must be one certificate, and these are several")
		}
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || len(cert.Raw) > maxDER {
		return wrong("is not a certificate in PEM that can be read")
	}
	return cert, nil
}

// Add makes a tenant trust an authority. ID and Created are set here; Key and Revocation,
// if empty, to KeySoftware and RevocationRequired. It reports identity.ErrInvalid for each bad
// field, and fsm.ErrExists for a certificate that the tenant trusts already.
//
// The caller has made sure that every member of the cluster heeds revocation.
func Add(tx *fsm.Tx, a Authority) (*Authority, error) {
	a.ID, a.Created = identity.NewID(identity.PrefixAuthority), tx.Now()
	if a.Key == "" {
		a.Key = KeySoftware
	}
	if a.Revocation == "" {
		a.Revocation = RevocationRequired
	}
	if err := a.check(tx.Now()); err != nil {
		return nil, err
	}
	all, err := List(tx, a.Tenant)
	if err != nil {
		return nil, err
	}
	if len(all) >= maxAuthorities {
		return nil, identity.Invalid("certificate", fmt.Sprintf("There are %d authorities already, and no more can be trusted.", maxAuthorities))
	}
	sum := sha256.Sum256(a.Certificate)
	if _, err := authoritiesByKey.Get(tx, fsm.Scope(a.Tenant), fsm.K(string(sum[:]))); !errors.Is(err, fsm.ErrNotFound) {
		if err == nil {
			err = identity.Exists("certificate", "This authority is trusted already.")
		}
		return nil, err
	}
	if err := authorities.Insert(tx, &a); err != nil {
		return nil, err
	}
	return &a, a.tell(tx, event.AuthorityAdded, event.Diff((&Authority{}).fields(), a.fields()), nil)
}

// Update lets change edit an authority at revision rev (0: any). ID, tenant, certificate and
// Created are not its to change. Errors are those of Add, fsm.ErrNotFound and
// identity.ErrPrecondition.
func Update(tx *fsm.Tx, tenant, id string, rev uint64, change func(*Authority) error) (*Authority, error) {
	old, at, err := Get(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	a := *old
	a.Rules = slices.Clone(old.Rules)
	if err := change(&a); err != nil {
		return nil, err
	}
	a.ID, a.Tenant, a.Certificate, a.Created = old.ID, old.Tenant, old.Certificate, old.Created
	if err := a.check(tx.Now()); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), a.fields())
	if len(changes) == 0 {
		return old, nil
	}
	if err := authorities.Put(tx, &a); err != nil {
		return nil, err
	}
	return &a, a.tell(tx, event.AuthorityUpdated, changes, nil)
}

// Remove ends the trust in an authority, at revision rev (0: any): its certificates let nobody
// in from then on, and what people have added of them is forgotten. Sessions stay.
func Remove(tx *fsm.Tx, tenant, id string, rev uint64) error {
	a, at, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	for c, err := range certificatesByAuthority.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(id))) {
		if err != nil {
			return err
		}
		if err := certificates.Delete(tx, fsm.Scope(tenant), fsm.K(c.UserID, c.ID)); err != nil {
			return err
		}
	}
	if err := removeList(tx, tenant, id); err != nil {
		return err
	}
	if err := authorities.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	return a.tell(tx, event.AuthorityRemoved, nil, nil)
}

// Get returns an authority and its revision, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant, id string) (*Authority, uint64, error) {
	return authorities.GetRev(tx, fsm.Scope(tenant), fsm.K(id))
}

// List returns the authorities of a tenant, the oldest first.
func List(tx *fsm.Tx, tenant string) ([]Authority, error) {
	var all []Authority
	for a, err := range authorities.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return nil, err
		}
		all = append(all, *a)
	}
	return all, nil
}

// check reports everything that cannot be held.
func (a *Authority) check(now time.Time) error {
	var faults []error
	unless := func(good bool, field, detail string) {
		if !good {
			faults = append(faults, identity.Invalid(field, detail))
		}
	}
	unless(a.Name != "" && a.Name == strings.TrimSpace(identity.Printable(a.Name, maxName)), "name", fmt.Sprintf("must be plain text of 1 to %d bytes", maxName))
	unless(slices.Contains([]string{KeySoftware, KeyHardware, KeySmartCard}, a.Key), "key", "must be one of software, hardware, smart_card")
	unless(slices.Contains([]string{RevocationRequired, RevocationSoft, RevocationOff}, a.Revocation), "revocation", "must be one of required, soft, off")
	unless(a.CRL == "" || httpURL(a.CRL), "crl_url", "must be an address such as http://ca.example.com/people.crl")
	faults = append(faults, checkRules(a.Rules)...)
	cert, err := x509.ParseCertificate(a.Certificate)
	switch {
	case err != nil || len(a.Certificate) > maxDER:
		unless(false, "certificate", "is not a certificate in PEM that can be read")
	case !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		unless(false, "certificate", "is not the certificate of an authority: it may not certify others")
	case !now.Before(cert.NotAfter):
		unless(false, "certificate", "has expired")
	default:
		unless(strong(cert), "certificate", "has a key that is too weak: RSA needs 2048 bits")
	}
	return errors.Join(faults...)
}

// httpURL reports whether s is an address that lists are published at. They are signed, so
// plain HTTP is usual; where it leads is looked at when it is asked.
func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

// fields are the settings by the names that the API has for them, for events.
func (a *Authority) fields() [][2]string {
	rules := make([]string, len(a.Rules))
	for i, r := range a.Rules {
		rules[i] = r.String()
	}
	return [][2]string{
		{"name", a.Name}, {"certificate", a.Fingerprint()}, {"key", a.Key}, {"pinless", fmt.Sprint(a.Pinless)}, {"rules", strings.Join(rules, " ")},
		{"revocation", a.Revocation}, {"crl_url", a.CRL}, {"ask", fmt.Sprint(a.Ask)},
	}
}

// Fingerprint is the SHA-256 of the authority's certificate in hex; "" without one.
func (a *Authority) Fingerprint() string {
	if len(a.Certificate) == 0 {
		return ""
	}
	sum := sha256.Sum256(a.Certificate)
	return hex.EncodeToString(sum[:])
}

func (a *Authority) tell(tx *fsm.Tx, what event.Type, changes []event.Change, data map[string]string) error {
	return event.Append(tx, event.Event{
		Tenant: a.Tenant, Type: what, Target: event.Target{Kind: "certificate_authority", ID: a.ID, Name: a.Name}, Changes: changes, Data: data,
	})
}
