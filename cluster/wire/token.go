package wire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// Errors of the way in by a join token; compare with errors.Is.
var (
	// ErrPin reports a node that is not of the cluster that made the token, or somebody in between.
	ErrPin = errors.New("the node there is not of the cluster that made the join token")
	// ErrTokenUnknown reports that the cluster does not know the token.
	ErrTokenUnknown = errors.New("the cluster does not know this join token")
	// ErrTokenLimited reports that too many wrong tokens came from this host, or one too often.
	ErrTokenLimited = errors.New("too many wrong join tokens came from this host, or this one came too often: wait a minute")
	// ErrNoTokens reports a node that cannot speak about tokens now.
	ErrNoTokens = errors.New("the node there takes no join tokens: it is not in a cluster yet, or runs an older release")
)

// A Voucher is what a member knows of a join token, under its public ID.
type Voucher struct {
	Known bool
	Key   [32]byte // a hash of the token's secret: proves that both sides know of the token
}

// A Vouch looks a join token up by its ID, which a stranger has sent.
type Vouch func(ctx context.Context, id string) (Voucher, error)

// A Pass is what a joining node knows of the cluster from its token.
type Pass struct {
	ClusterID string
	Pin       [32]byte // SHA-256 of the public key (SPKI) of the cluster's authority
	ID        string   // of the token
	Key       [32]byte // as in the Voucher
}

// What a member answers to a stranger's proof.
const (
	verdictUnknown uint8 = iota + 1
	verdictLimited
	verdictLater
)

// A tokenProof is the first frame in each direction on quis-token/1.
type tokenProof struct {
	ID      string `cbor:"1,keyasint,omitempty"`
	MAC     []byte `cbor:"2,keyasint,omitempty"`
	Verdict uint8  `cbor:"3,keyasint,omitempty"`
}

const (
	tokenLabel = "EXPORTER-quis-token-1"
	maxTokenID = 64
)

func tokenMAC(c *tls.Conn, key [32]byte, side string) ([]byte, error) {
	s := c.ConnectionState()
	material, err := s.ExportKeyingMaterial(tokenLabel, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("prove join token: %w", err)
	}
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(side))
	h.Write(material)
	return h.Sum(nil), nil
}

// admitByToken demands the proof of a token and gives its own, and returns the token's
// ID. What it says to somebody without one is the same for every reason.
func (p *Port) admitByToken(ctx context.Context, c *tls.Conn) (string, error) {
	from := c.RemoteAddr().String()
	theirs, err := readToken(c)
	if err != nil {
		return "", err
	}
	if !p.strikes.allowed(from, time.Now()) {
		return "", errors.Join(fmt.Errorf("join from %s: %w", from, ErrTokenLimited), writeToken(c, tokenProof{Verdict: verdictLimited}))
	}
	if p.cfg.Vouch == nil || len(theirs.ID) > maxTokenID {
		return "", errors.Join(ErrNoTokens, writeToken(c, tokenProof{Verdict: verdictLater}))
	}
	v, err := p.cfg.Vouch(ctx, theirs.ID)
	if err != nil {
		return "", errors.Join(err, writeToken(c, tokenProof{Verdict: verdictLater}))
	}
	want, err := tokenMAC(c, v.Key, "client")
	if err != nil {
		return "", err
	}
	if !hmac.Equal(want, theirs.MAC) || !v.Known {
		p.strikes.note(from, time.Now())
		return "", errors.Join(fmt.Errorf("join from %s: %w", from, ErrTokenUnknown), writeToken(c, tokenProof{Verdict: verdictUnknown}))
	}
	if !p.strikes.visit(theirs.ID, time.Now()) {
		return "", errors.Join(fmt.Errorf("join from %s: %w", from, ErrTokenLimited), writeToken(c, tokenProof{Verdict: verdictLimited}))
	}
	mine := tokenProof{}
	if mine.MAC, err = tokenMAC(c, v.Key, "server"); err != nil {
		return "", err
	}
	return theirs.ID, writeToken(c, mine)
}

func writeToken(c net.Conn, v tokenProof) error {
	body, err := encoding.Marshal(v)
	if err != nil {
		return fmt.Errorf("prove join token: %w", err)
	}
	out, err := appendFrame(nil, &message{Body: body})
	if err != nil {
		return err
	}
	_, err = c.Write(out)
	return err
}

func readToken(c net.Conn) (v tokenProof, err error) {
	m, err := readFrame(c, maxProof)
	if err != nil {
		return v, fmt.Errorf("prove join token: %w", err)
	}
	if err := decoding.Unmarshal(m.Body, &v); err != nil {
		return v, fmt.Errorf("prove join token: %w: %w", ErrFrame, err)
	}
	return v, nil
}

// DialToken connects to a member on quis-token/1. The member shows a certificate of the
// authority that the token pins before anything is sent, and then that it knows the token,
// over this very connection. The token's secret itself is not used. Close the connection when done.
func DialToken(ctx context.Context, address string, pass Pass) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	raw, err := (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, pass.config())
	if err = c.HandshakeContext(ctx); err != nil {
		var alert *net.OpError
		if errors.As(err, &alert) && alert.Op == "remote error" { // as crypto/tls calls the peer's alerts
			err = fmt.Errorf("%w (%w)", ErrNoTokens, err)
		}
	} else if deadline, ok := ctx.Deadline(); ok {
		err = errors.Join(c.SetDeadline(deadline), pass.prove(c), c.SetDeadline(time.Time{}))
	}
	if err != nil {
		raw.Close() // the reason is in err
		return nil, err
	}
	return newConn(c), nil
}

func (pass *Pass) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protoToken},
		InsecureSkipVerify:     true, // VerifyConnection demands the pinned authority instead
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != protoToken {
				return ErrNoTokens
			}
			return pass.verify(s.PeerCertificates)
		},
	}
}

// verify demands a node's certificate and that of its issuer, whose key is pinned.
func (pass *Pass) verify(chain []*x509.Certificate) error {
	if len(chain) != 2 || sha256.Sum256(chain[1].RawSubjectPublicKeyInfo) != pass.Pin {
		return ErrPin
	}
	h := &held{Identity: Identity{ClusterID: pass.ClusterID}, roots: x509.NewCertPool()}
	h.roots.AddCert(chain[1])
	if _, err := h.verify(chain, x509.ExtKeyUsageServerAuth); err != nil {
		return fmt.Errorf("%w: %w", ErrPin, err)
	}
	return nil
}

func (pass *Pass) prove(c *tls.Conn) error {
	mine := tokenProof{ID: pass.ID}
	var err error
	if mine.MAC, err = tokenMAC(c, pass.Key, "client"); err != nil {
		return err
	}
	want, err := tokenMAC(c, pass.Key, "server")
	if err != nil {
		return err
	}
	if err := writeToken(c, mine); err != nil {
		return err
	}
	theirs, err := readToken(c)
	switch {
	case err != nil:
		return err
	case theirs.Verdict == verdictUnknown:
		return ErrTokenUnknown
	case theirs.Verdict == verdictLimited:
		return ErrTokenLimited
	case theirs.Verdict != 0:
		return ErrNoTokens
	case !hmac.Equal(want, theirs.MAC):
		return fmt.Errorf("%w: it does not know the token that it shall accept", ErrPin)
	}
	return nil
}
