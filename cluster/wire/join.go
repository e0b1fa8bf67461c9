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
	want, err := proofMAC(c, p.cfg.JoinKey, "client")
	if err != nil {
		return err
	}
	theirs, err := readProof(c)
	if err != nil {
		return err
	}
	mine := proof{RootID: p.cfg.RootID}
	if !hmac.Equal(want, theirs.MAC) {
		err = fmt.Errorf("join from %s with root key %q, here it is %q: %w", c.RemoteAddr(), theirs.RootID, mine.RootID, ErrRootKey)
		return errors.Join(err, writeProof(c, mine))
	}
	if mine.MAC, err = proofMAC(c, p.cfg.JoinKey, "server"); err != nil {
		return err
	}
	return writeProof(c, mine)
}

// proveToServer gives this node's proof and demands the server's.
func (p *Port) proveToServer(c *tls.Conn) error {
	mine := proof{RootID: p.cfg.RootID}
	var err error
	if mine.MAC, err = proofMAC(c, p.cfg.JoinKey, "client"); err != nil {
		return err
	}
	want, err := proofMAC(c, p.cfg.JoinKey, "server")
	if err != nil {
		return err
	}
	if err := writeProof(c, mine); err != nil {
		return err
	}
	theirs, err := readProof(c)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, theirs.MAC) {
		return fmt.Errorf("the root key of this node is %s, that of the node at %s is %q: %w", mine.RootID, c.RemoteAddr(), theirs.RootID, ErrRootKey)
	}
	return nil
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
	c, err := p.dialTLS(ctx, address, &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protoJoin},
		InsecureSkipVerify:     true, // both sides prove the root key over this connection instead
		SessionTicketsDisabled: true,
	})
	if err != nil {
		return nil, err
	}
	err = c.SetDeadline(time.Now().Add(p.cfg.Handshake))
	if err == nil {
		err = p.proveToServer(c)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return newConn(c), nil
}
