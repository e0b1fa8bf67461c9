package wire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrRootKey reports a peer that holds another root key than this node.
var ErrRootKey = errors.New("root keys differ")

const exporterLabel = "EXPORTER-quis-join-1"

// A JoinKey is derived from a root key.
type JoinKey struct {
	RootID string // public fingerprint of the root key
	Key    [32]byte
}

// joinKey returns the key from the root key that the peer names, else the one in use.
func (p *Port) joinKey(root string) JoinKey {
	for _, k := range p.cfg.JoinKeys {
		if k.RootID == root {
			return k
		}
	}
	return p.cfg.JoinKeys[0]
}

// A proof is the first frame in each direction on quis-join/1.
type proof struct {
	RootID string `cbor:"1,keyasint"`
	MAC    []byte `cbor:"2,keyasint,omitempty"`
}

// proofMAC binds the root key to this TLS connection and to one side of it.
func proofMAC(c *tls.Conn, key [32]byte, side string) ([]byte, error) {
	s := c.ConnectionState()
	material, err := s.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("prove root key: %w", err)
	}
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(side))
	h.Write(material)
	return h.Sum(nil), nil
}

// proveToClient demands the client's proof before it gives its own.
func (p *Port) proveToClient(c *tls.Conn) error {
	theirs, err := readProof(c)
	if err != nil {
		return err
	}
	key := p.joinKey(theirs.RootID)
	want, err := proofMAC(c, key.Key, "client")
	if err != nil {
		return err
	}
	mine := proof{RootID: key.RootID}
	if !hmac.Equal(want, theirs.MAC) {
		err = fmt.Errorf("join from %s with root key %q, here it is %q: %w", c.RemoteAddr(), theirs.RootID, mine.RootID, ErrRootKey)
		return errors.Join(err, writeProof(c, mine))
	}
	if mine.MAC, err = proofMAC(c, key.Key, "server"); err != nil {
		return err
	}
	return writeProof(c, mine)
}

// proveToServer gives this node's proof by key and demands the server's. If it fails it
// returns which root key the server names.
func (p *Port) proveToServer(c *tls.Conn, key JoinKey) (root string, err error) {
	mine := proof{RootID: key.RootID}
	if mine.MAC, err = proofMAC(c, key.Key, "client"); err != nil {
		return "", err
	}
	want, err := proofMAC(c, key.Key, "server")
	if err != nil {
		return "", err
	}
	if err := writeProof(c, mine); err != nil {
		return "", err
	}
	theirs, err := readProof(c)
	if err != nil {
		return "", err
	}
	if !hmac.Equal(want, theirs.MAC) {
		return theirs.RootID, fmt.Errorf("the root key of this node is %s, that of the node at %s is %q: %w", mine.RootID, c.RemoteAddr(), theirs.RootID, ErrRootKey)
	}
	return "", nil
}

func writeProof(c net.Conn, v proof) error {
	body, err := encoding.Marshal(v)
	if err != nil {
		return fmt.Errorf("prove root key: %w", err)
	}
	out, err := appendFrame(nil, &message{Body: body})
	if err != nil {
		return err
	}
	_, err = c.Write(out)
	return err
}

func readProof(c net.Conn) (proof, error) {
	m, err := readFrame(c, maxProof)
	if err != nil {
		return proof{}, fmt.Errorf("prove root key: %w", err)
	}
	var v proof
	if err := decoding.Unmarshal(m.Body, &v); err != nil {
		return proof{}, fmt.Errorf("prove root key: %w: %w", ErrFrame, err)
	}
	v.RootID = v.RootID[:min(len(v.RootID), 80)]
	return v, nil
}

// DialJoin connects to a node on quis-join/1. It reports ErrRootKey if that node
// holds another root key. Close the connection when done.
func (p *Port) DialJoin(ctx context.Context, address string) (*Conn, error) {
	key := p.cfg.JoinKeys[0]
	c, root, err := p.dialJoin(ctx, address, key)
	if other := p.joinKey(root); errors.Is(err, ErrRootKey) && other.RootID != key.RootID {
		c, _, err = p.dialJoin(ctx, address, other) // it knows that one alone
	}
	return c, err
}

func (p *Port) dialJoin(ctx context.Context, address string, key JoinKey) (*Conn, string, error) {
	c, err := p.dialTLS(ctx, address, &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protoJoin},
		InsecureSkipVerify:     true, // both sides prove the root key over this connection instead
		SessionTicketsDisabled: true,
	})
	if err != nil {
		return nil, "", err
	}
	root := ""
	err = c.SetDeadline(time.Now().Add(p.cfg.Handshake))
	if err == nil {
		root, err = p.proveToServer(c, key)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, root, errors.Join(err, c.Close())
	}
	return newConn(c), "", nil
}
