package form

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/keys/seal"
)

// identityJSON is node.json: who this node is. What must stay secret is wrapped
// under the root key; the rest is for error messages and people.
type identityJSON struct {
	ClusterID string `json:"cluster_id"`
	NodeID    string `json:"node_id"`
	RootKeyID string `json:"root_key_id"`
	Sealed    []byte `json:"sealed"`
	// RecoveredAs is the cluster that the node is to go on as; see Recovered.
	RecoveredAs string `json:"recovered_as,omitempty"`
}

type identitySecret struct {
	Authority Authority `cbor:"1,keyasint"`
	Cert      []byte    `cbor:"2,keyasint"`
	Key       []byte    `cbor:"3,keyasint"`           // PKCS #8
	Founding  []Founder `cbor:"4,keyasint,omitempty"` // set on the node that founds the cluster
}

// A Founder is a node that the cluster begins with.
type Founder struct {
	ID      string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"`
	// Instead is the cluster of an earlier founding, which came to nothing, that the node waits for.
	Instead string `cbor:"3,keyasint,omitempty"`
}

// Identity is what a node knows about itself once it belongs to a cluster.
type Identity struct {
	ClusterID string
	NodeID    string
	TLS       wire.Identity // certificate and key
	secret    identitySecret

	wrappedUnder string // fingerprint of the root key on disk, as it was loaded
	recoveredAs  string // the cluster it is to go on as; empty: its own
}

// Authority returns the cluster's authority as this node got it.
func (id *Identity) Authority() *Authority { return &id.secret.Authority }

// Current says whether this node's certificate is of the authority that signs now, and valid.
func (id *Identity) Current() bool {
	leaf := id.TLS.Cert.Leaf
	return leaf.CheckSignatureFrom(id.TLS.Trust[0]) == nil && time.Now().Before(leaf.NotAfter)
}

// AuthorityEnds returns when the certificate of the authority that signs now ends.
func (id *Identity) AuthorityEnds() time.Time { return id.TLS.Trust[0].NotAfter }

// Founders returns with whom this node has to found the cluster, itself included, or
// nothing on a node that does not found it.
func (id *Identity) Founders() []Founder { return id.secret.Founding }

// newClusterID returns a random name that fits into a URI's host.
func newClusterID() string {
	var b [15]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// newIdentity joins what was issued with its key.
func newIdentity(node string, authority *Authority, cert []byte, key any) (*Identity, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("node identity: %w", err)
	}
	id := &Identity{ClusterID: authority.ClusterID, NodeID: node, secret: identitySecret{Authority: *authority, Cert: cert, Key: raw}}
	return id, id.complete()
}

// issueIdentity makes an identity with the authority itself at hand.
func issueIdentity(node string, row *Authority, root *seal.RootKey, life time.Duration) (*Identity, error) {
	key, request, err := wire.NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := row.Issue(request, node, root, life)
	if err != nil {
		return nil, err
	}
	return newIdentity(node, row, cert, key)
}

func (id *Identity) complete() error {
	trust, err := id.secret.Authority.trusted()
	if err != nil {
		return fmt.Errorf("node identity: %w", err)
	}
	leaf, err := x509.ParseCertificate(id.secret.Cert)
	if err != nil {
		return fmt.Errorf("node identity: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(id.secret.Key)
	if err != nil {
		return fmt.Errorf("node identity: %w", err)
	}
	issuer := trust[0]
	for _, c := range trust {
		if leaf.CheckSignatureFrom(c) == nil {
			issuer = c
		}
	}
	id.TLS = wire.Identity{
		ClusterID: id.ClusterID, NodeID: id.NodeID, Authority: issuer, Trust: trust,
		Cert: tls.Certificate{Certificate: [][]byte{id.secret.Cert}, PrivateKey: key, Leaf: leaf},
	}
	return nil
}

func identityContext(cluster, node string) []byte {
	return []byte("node identity " + cluster + " " + node)
}

// loadIdentity reads node.json. Without one it returns nil.
func loadIdentity(dir string, root *seal.RootKey) (*Identity, error) {
	path := filepath.Join(dir, disk.IdentityFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("node identity: %w", err)
	}
	var f identityJSON
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, damagedIdentity(path, err)
	}
	if !root.Knows(f.RootKeyID) {
		return nil, fmt.Errorf("the data directory %s was made under root key %s, but this node was given root key %s: give it the right one: %w", dir, f.RootKeyID, strings.Join(root.IDs(), ", "), seal.ErrSealed)
	}
	plain, err := root.Unwrap(f.Sealed, identityContext(f.ClusterID, f.NodeID))
	if err != nil {
		return nil, damagedIdentity(path, err)
	}
	id := &Identity{ClusterID: f.ClusterID, NodeID: f.NodeID, wrappedUnder: f.RootKeyID, recoveredAs: f.RecoveredAs}
	if err := cbor.Unmarshal(plain, &id.secret); err != nil {
		return nil, damagedIdentity(path, err)
	}
	return id, id.complete()
}

func damagedIdentity(path string, err error) error {
	return fmt.Errorf("%s, which says of which cluster this node is, is damaged (%w). If other nodes of the cluster are healthy, move this node's "+
		"whole data directory away and start it again with cluster.join; if this is the only node, bring the file back from a backup", path, err)
}

// Save writes node.json so that a crash leaves the old one or the new one.
func (id *Identity) Save(dir string, root *seal.RootKey) error {
	plain, err := cbor.Marshal(&id.secret)
	if err != nil {
		return fmt.Errorf("save node identity: %w", err)
	}
	box, err := root.Wrap(plain, identityContext(id.ClusterID, id.NodeID))
	if err != nil {
		return fmt.Errorf("save node identity: %w", err)
	}
	raw, err := json.MarshalIndent(identityJSON{ClusterID: id.ClusterID, NodeID: id.NodeID, RootKeyID: root.ID(), Sealed: box}, "", "  ")
	if err != nil {
		return fmt.Errorf("save node identity: %w", err)
	}
	if err := replaceFile(filepath.Join(dir, disk.IdentityFile), raw); err != nil {
		return fmt.Errorf("save node identity: %w", err)
	}
	return nil
}

func replaceFile(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// verify says whether the certificate is one of the cluster's authority.
func (id *Identity) verify() error {
	roots := x509.NewCertPool()
	for _, c := range id.TLS.Trust {
		roots.AddCert(c)
	}
	_, err := id.TLS.Cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}})
	return err
}
