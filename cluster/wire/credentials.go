package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// The protocols of the port.
const (
	protoRaft = "quis-raft/1"
	protoRPC  = "quis-rpc/1"
	protoJoin = "quis-join/1"

	protoToken = "quis-token/1"
)

// An Identity is what a node shows to its peers and demands of them.
type Identity struct {
	ClusterID string
	NodeID    string
	Authority *x509.Certificate   // issued Cert
	Trust     []*x509.Certificate // whose certificates are accepted; empty: Authority's alone
	Cert      tls.Certificate
}

// Credentials holds a node's identity, which begins empty and is replaced when a
// certificate is renewed. It may be used from any goroutine.
type Credentials struct {
	// Void says of which admissions a node's certificates count no more; nil: of none. It is
	// set before anything else is done, and asked at every handshake.
	Void func(node string, admission uint64) bool

	current atomic.Pointer[held]
}

type held struct {
	Identity
	roots *x509.CertPool
	void  func(node string, admission uint64) bool
}

// Set replaces the identity. Connections that exist keep the one they began with.
func (c *Credentials) Set(id Identity) {
	h := &held{Identity: id, roots: x509.NewCertPool(), void: c.Void}
	h.roots.AddCert(id.Authority)
	for _, a := range id.Trust {
		h.roots.AddCert(a)
	}
	c.current.Store(h)
}

// NodeID returns who this node is, or nothing before it has an identity.
func (c *Credentials) NodeID() string {
	if h := c.current.Load(); h != nil {
		return h.NodeID
	}
	return ""
}

// Expires returns when the certificate ends.
func (c *Credentials) Expires() time.Time {
	if h := c.current.Load(); h != nil && h.Cert.Leaf != nil {
		return h.Cert.Leaf.NotAfter
	}
	return time.Time{}
}

var errNoIdentity = errors.New("this node has no certificate yet")

// verify checks that certs is the chain of a node of this cluster and returns the node.
func (h *held) verify(certs []*x509.Certificate, usage x509.ExtKeyUsage) (string, error) {
	if len(certs) == 0 {
		return "", errors.New("no node certificate")
	}
	leaf := certs[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: h.roots, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return "", fmt.Errorf("node certificate: %w", err)
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].Scheme != "quis" {
		return "", errors.New("node certificate names no node")
	}
	uri := leaf.URIs[0]
	node := strings.TrimPrefix(uri.Path, "/")
	if uri.Host != h.ClusterID || !ValidNodeID(node) {
		return "", fmt.Errorf("node certificate is for %s, not for a node of cluster %s", uri, h.ClusterID)
	}
	if h.void != nil && h.void(node, AdmissionOf(leaf)) {
		return "", fmt.Errorf("node certificate of %s is void: that node was removed", node)
	}
	return node, nil
}

// server returns the configuration for one incoming connection, by the protocol it asks for.
func (c *Credentials) server(temporary *tls.Certificate) *tls.Config {
	join := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protoJoin},
		Certificates:           []tls.Certificate{*temporary},
		SessionTicketsDisabled: true,
	}
	choose := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) != 1 {
			return nil, errors.New("one protocol must be asked for")
		}
		proto := hello.SupportedProtos[0]
		if proto == protoJoin {
			return join, nil
		}
		h := c.current.Load()
		if h == nil {
			return nil, errNoIdentity
		}
		if proto == protoToken {
			return h.toStrangers(), nil
		}
		return &tls.Config{
			MinVersion:             tls.VersionTLS13,
			NextProtos:             []string{protoRaft, protoRPC},
			Certificates:           []tls.Certificate{h.Cert},
			ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection decides
			SessionTicketsDisabled: true,
			VerifyConnection: func(s tls.ConnectionState) error {
				_, err := h.verify(s.PeerCertificates, x509.ExtKeyUsageClientAuth)
				return err
			},
		}, nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: choose, SessionTicketsDisabled: true}
}

// toStrangers is the configuration for somebody with a join token, who pins the authority
// and has no certificate: it shows both certificates.
func (h *held) toStrangers() *tls.Config {
	chain := h.Cert
	chain.Certificate = [][]byte{h.Cert.Certificate[0], h.Authority.Raw}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protoToken},
		Certificates:           []tls.Certificate{chain},
		SessionTicketsDisabled: true,
	}
}

// client returns the configuration to call node (empty: any node of the cluster).
func (c *Credentials) client(proto, node string) (*tls.Config, error) {
	h := c.current.Load()
	if h == nil {
		return nil, errNoIdentity
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{proto},
		Certificates:           []tls.Certificate{h.Cert},
		InsecureSkipVerify:     true, // names are node URIs, not hosts: VerifyConnection checks chain and URI
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != proto {
				return fmt.Errorf("peer does not speak %s", proto)
			}
			got, err := h.verify(s.PeerCertificates, x509.ExtKeyUsageServerAuth)
			if err == nil && node != "" && got != node {
				err = fmt.Errorf("node %s answers in the place of %s", got, node)
			}
			return err
		},
	}, nil
}
