package certificate

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// Bounds of lists of revoked certificates. An uploaded one is written in one transaction.
const (
	MaxUpload  = 1 << 20 // bytes of an uploaded list
	maxRevoked = 6000    // certificates on one
	maxNumber  = 20      // bytes of a serial number (RFC 5280 §4.1.2.2)
	buckets    = 64
)

// A Revocations is what is known of an authority's uploaded list.
type Revocations struct {
	Number     string    `cbor:"1,keyasint,omitempty"` // decimal; "" if the list has none
	ThisUpdate time.Time `cbor:"2,keyasint,omitempty"`
	NextUpdate time.Time `cbor:"3,keyasint,omitempty"`
	Revoked    int       `cbor:"4,keyasint,omitempty"` // how many certificates are on it
	Uploaded   time.Time `cbor:"5,keyasint,omitempty"`
}

// A listRow is a part of an authority's list: those numbers whose hash begins alike, so that a
// sign-in reads one small row; or, of bucket 0, what is known of all of it.
type listRow struct {
	Tenant    string       `cbor:"1,keyasint,omitempty"`
	Authority string       `cbor:"2,keyasint,omitempty"`
	Bucket    uint64       `cbor:"3,keyasint,omitempty"` // 1 to 64; 0: the head
	Head      *Revocations `cbor:"4,keyasint,omitempty"`
	Numbers   [][]byte     `cbor:"5,keyasint,omitempty"`
}

var lists = fsm.NewTable(75, "certificate_revocations", fsm.Spec[listRow]{
	Scope: func(r *listRow) fsm.Scope { return fsm.Scope(r.Tenant) },
	Key:   func(r *listRow) fsm.Key { return listKey(r.Authority, r.Bucket) },
})

func listKey(authority string, bucket uint64) fsm.Key { return fsm.K(authority).Uint(bucket) }

func bucketOf(number []byte) uint64 {
	sum := sha256.Sum256(number)
	return uint64(sum[0]%buckets) + 1
}

// ParseList reads a list of revoked certificates (RFC 5280 §5) in DER or PEM. Whose it is, and
// whether it holds, is for complete to say.
func ParseList(text []byte) (*x509.RevocationList, error) {
	if block, _ := pem.Decode(text); block != nil && block.Type == "X509 CRL" {
		text = block.Bytes
	}
	l, err := x509.ParseRevocationList(text)
	if err != nil {
		return nil, identity.Invalid("", "This is not a list of revoked certificates in DER or PEM that can be read.")
	}
	return l, nil
}

// Upload puts a list in the place of the authority's former one. It must be the authority's own,
// whole, of now, and not older than the former. It reports identity.ErrInvalid with a
// sentence, and fsm.ErrNotFound.
func Upload(tx *fsm.Tx, tenant, id string, l *x509.RevocationList) (*Revocations, error) {
	a, _, err := Get(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	issuer, err := a.Parsed()
	if err != nil {
		return nil, err
	}
	if why := complete(l, issuer, scope{}, tx.Now()); why != nil {
		return nil, identity.Invalid("", "The list cannot be used: "+why.Error()+".")
	}
	former, err := UploadedOf(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	if former != nil && l.ThisUpdate.Before(former.ThisUpdate) {
		return nil, identity.Invalid("", "The list is older than the one in use.")
	}
	head := &Revocations{ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Revoked: len(l.RevokedCertificateEntries), Uploaded: tx.Now()}
	if l.Number != nil {
		head.Number = identity.Printable(l.Number.String(), 64)
	}
	if head.Revoked > maxRevoked {
		return nil, identity.Invalid("", fmt.Sprintf("The list names more than %d certificates. Publish it at an address instead, and set crl_url.", maxRevoked))
	}
	if err := removeList(tx, tenant, id); err != nil {
		return nil, err
	}
	for _, row := range rowsOf(tenant, id, l) {
		if err := lists.Put(tx, row); err != nil {
			return nil, err
		}
	}
	if err := lists.Put(tx, &listRow{Tenant: tenant, Authority: id, Head: head}); err != nil {
		return nil, err
	}
	return head, a.tell(tx, event.AuthorityListed, nil, map[string]string{
		"number": head.Number, "revoked": fmt.Sprint(head.Revoked), "next_update": head.NextUpdate.UTC().Format(time.RFC3339),
	})
}

func rowsOf(tenant, id string, l *x509.RevocationList) (rows []*listRow) {
	at := map[uint64]*listRow{}
	for _, e := range l.RevokedCertificateEntries {
		number := e.SerialNumber.Bytes()
		b := bucketOf(number)
		if at[b] == nil {
			at[b] = &listRow{Tenant: tenant, Authority: id, Bucket: b}
			rows = append(rows, at[b])
		}
		at[b].Numbers = append(at[b].Numbers, number)
	}
	return rows
}

// Withdraw forgets an authority's uploaded list, or reports fsm.ErrNotFound if it has none.
func Withdraw(tx *fsm.Tx, tenant, id string) error {
	a, _, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	former, err := UploadedOf(tx, tenant, id)
	if err != nil {
		return err
	}
	if former == nil {
		return identity.NotFound("No list was uploaded for this authority.")
	}
	if err := removeList(tx, tenant, id); err != nil {
		return err
	}
	return a.tell(tx, event.AuthorityListed, nil, map[string]string{"withdrawn": former.Number})
}

// UploadedOf returns what is known of an authority's uploaded list; nil if it has none.
func UploadedOf(tx *fsm.Tx, tenant, id string) (*Revocations, error) {
	row, err := lists.Get(tx, fsm.Scope(tenant), listKey(id, 0))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return row.Head, nil
}

// Listed looks a number up in an authority's uploaded list, of which it returns what is
// known; nil if there is none.
func Listed(tx *fsm.Tx, tenant, id string, number []byte) (head *Revocations, revoked bool, err error) {
	if head, err = UploadedOf(tx, tenant, id); err != nil || head == nil {
		return nil, false, err
	}
	row, err := lists.Get(tx, fsm.Scope(tenant), listKey(id, bucketOf(number)))
	if errors.Is(err, fsm.ErrNotFound) {
		return head, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return head, slices.ContainsFunc(row.Numbers, func(n []byte) bool { return bytes.Equal(n, number) }), nil
}

func removeList(tx *fsm.Tx, tenant, id string) error {
	for row, err := range lists.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(id))) {
		if err != nil {
			return err
		}
		if err := lists.Delete(tx, fsm.Scope(tenant), listKey(id, row.Bucket)); err != nil {
			return err
		}
	}
	return nil
}
