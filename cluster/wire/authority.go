package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

const (
	// CertLife is how long a node's certificate is valid, unless a test says otherwise.
	CertLife      = 30 * 24 * time.Hour
	authorityLife = 50 * 365 * 24 * time.Hour
	clockSlack    = time.Hour // certificates begin this much earlier, for clocks that differ
)

// An Authority issues the node certificates of one cluster.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes the authority (ECDSA P-256) of a new cluster.
func NewAuthority(clusterID string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make cluster authority: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "quis cluster " + clusterID},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		URIs:                  []*url.URL{{Scheme: "quis", Host: clusterID}},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make cluster authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make cluster authority: %w", err)
	}
	return &Authority{Cert: cert, key: key}, nil
}

// LoadAuthority reads an authority from its certificate and PKCS #8 key.
func LoadAuthority(cert, key []byte) (*Authority, error) {
	c, err := x509.ParseCertificate(cert)
	if err != nil {
		return nil, fmt.Errorf("cluster authority: %w", err)
	}
	k, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cluster authority: %w", err)
	}
	ec, ok := k.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(c.PublicKey) {
		return nil, errors.New("cluster authority: key does not belong to the certificate")
	}
	return &Authority{Cert: c, key: ec}, nil
}

// Key returns the private key in PKCS #8, to be sealed before it goes anywhere.
func (a *Authority) Key() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(a.key) }

// ClusterID returns which cluster the authority speaks for.
func (a *Authority) ClusterID() string { return authorityCluster(a.Cert) }

func authorityCluster(c *x509.Certificate) string {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "quis" {
		return ""
	}
	return c.URIs[0].Host
}

// Issue is IssueAs for the first admission.
func (a *Authority) Issue(request []byte, node string, now time.Time, life time.Duration) ([]byte, error) {
	return a.IssueAs(request, node, 0, now, life)
}

// IssueAs signs a certificate for node, for life from now on, with the key of a PKCS #10
// request. Nothing else of the request is used: what a certificate says is decided here.
// Admission counts how often the name was given away before.
func (a *Authority) IssueAs(request []byte, node string, admission uint64, now time.Time, life time.Duration) ([]byte, error) {
	if !ValidNodeID(node) {
		return nil, fmt.Errorf("issue certificate: %q is no node ID", node)
	}
	req, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	if pub, ok := req.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("issue certificate: key is not ECDSA P-256")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject(node, admission),
		NotBefore:    now.Add(-clockSlack),
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{nodeURI(a.ClusterID(), node)},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, req.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return der, nil
}

func subject(node string, admission uint64) pkix.Name {
	name := pkix.Name{CommonName: node}
	if admission > 0 { // releases that know no such number do not look at it
		name.SerialNumber = strconv.FormatUint(admission, 10)
	}
	return name
}

// AdmissionOf returns of which admission a node's certificate is.
func AdmissionOf(leaf *x509.Certificate) uint64 {
	n, err := strconv.ParseUint(leaf.Subject.SerialNumber, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// NewKey makes a node's key and the request (PKCS #10) for its certificate.
func NewKey() (key *ecdsa.PrivateKey, request []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make node key: %w", err)
	}
	request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make node key: %w", err)
	}
	return key, request, nil
}

// RenewAt returns when the holder of a node's certificate asks for the next: two thirds of its life on.
func RenewAt(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore) - clockSlack
	return leaf.NotAfter.Add(-life / 3)
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

var nodeID = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// ValidNodeID says whether id may name a node: 1 to 63 of a–z, 0–9, dot, dash and
// underscore, with a letter or digit at both ends.
func ValidNodeID(id string) bool { return nodeID.MatchString(id) }

func nodeURI(cluster, node string) *url.URL {
	return &url.URL{Scheme: "quis", Host: cluster, Path: "/" + node}
}
