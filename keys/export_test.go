package keys

import (
	"context"
	"crypto"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// CountCatchUps makes k call f before each question to the leader, at most one per interval.
func (k *Keys) CountCatchUps(every time.Duration, f func()) {
	k.behind = seal.NewThrottle(every, func(ctx context.Context) error {
		f()
		return seal.CatchUp(k.db)(ctx)
	})
}

// Generate, Fixed and Kid let tests make tokens by hand.
func Generate(a Alg) (crypto.Signer, error) { return a.generate(2048) }

// SignInput signs raw bytes.
func SignInput(a Alg, key crypto.Signer, input []byte) ([]byte, error) {
	return a.Signature(key, input)
}

// FixedSignature converts ASN.1.
func FixedSignature(der []byte) ([]byte, error) { return fixedSignature(der) }

// ParseHeader parses a JOSE header.
func ParseHeader(head string) (alg Alg, kid, typ string, err error) {
	h, err := parseHeader(head)
	return h.Alg, h.KID, h.Typ, err
}

// Thumbprint returns the kid of a public key.
func Thumbprint(a Alg, pub crypto.PublicKey) (string, error) {
	j, err := publicJWK(a, pub)
	return j.KID, err
}

// MaxStale is how far a node's keys may be behind its store.
const MaxStale = maxStale

// InsertActive stores a key of the test's own as the tenant's active one.
func InsertActive(ctx context.Context, k *Keys, tenant string, a Alg, private crypto.Signer) (kid string, err error) {
	row, err := k.seal(tenant, a, private)
	if err != nil {
		return "", err
	}
	return row.KID, k.db.Update(ctx, func(tx *fsm.Tx) error { return k.insert(tx, *row, Active, KeyActivated) })
}

// PrivateParts is how many keys of a tenant are stored with their private part.
func PrivateParts(tx *fsm.Tx, tenant string) (n int, err error) {
	for row, err := range signingKeys.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return n, err
		}
		if len(row.Sealed) > 0 || row.SealedBy != 0 {
			n++
		}
	}
	return n, nil
}
