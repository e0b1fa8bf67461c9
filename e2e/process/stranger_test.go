package process

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStrangersOnTheClusterPorts: whoever is not of the cluster gets nothing out of
// its ports, and cannot disturb those who are.
func TestStrangersOnTheClusterPorts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start()
	tokens := s.signIn()
	noise := noises()
	var wg sync.WaitGroup
	for _, key := range []string{"cluster.listen", "cluster.gossip", "listen.public", "listen.operations"} {
		for _, b := range noise {
			wg.Go(func() { shout(t, s.keys[key], b) })
		}
	}
	for _, proto := range []string{"", "h2", "quis-raft/1", "quis-rpc/1", "quis-join/1"} {
		for _, b := range noise {
			wg.Go(func() { whisper(t, s.keys["cluster.listen"], proto, b) })
		}
	}
	udp, err := net.Dial("udp", s.keys["cluster.gossip"])
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, b := range noise {
		udp.Write(b[:min(len(b), 60_000)]) // UDP answers nobody, and neither do we wait
	}
	// Whoever opens connections and says nothing holds nobody up.
	for range 200 {
		for _, key := range []string{"cluster.listen", "cluster.gossip", "listen.public"} {
			if c, err := net.Dial("tcp", s.keys[key]); err == nil {
				defer c.Close()
			}
		}
	}
	for range 3 {
		next, err := web.Refresh(t.Context(), s.public(), tokens.RefreshToken)
		if err != nil {
			t.Fatalf("an honest refresh meanwhile: %v", err)
		}
		tokens = next
	}
	wg.Wait()
	if !s.ready(t.Context()) {
		t.Error("the node is no longer ready")
	}
	s.signIn()
	s.stop()
	if out := s.stderr.String(); strings.Contains(out, `"level":"ERROR"`) {
		t.Errorf("strangers made the node log errors:\n%.3000s", out)
	}
	s.holds(tokens)
}

// noises are what strangers may say: nothing sensible, what other programs say, and
// lengths that are lies.
func noises() [][]byte {
	random := make([]byte, 64<<10)
	rand.Read(random)
	lies := func(n uint64) []byte { return append(binary.BigEndian.AppendUint64(nil, n), "x"...) }
	return [][]byte{
		{}, {0}, make([]byte, 4096), random, random[:1], random[:100],
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("SSH-2.0-x\r\n"), []byte("\x16\x03\x01\xff\xff"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		[]byte(strings.Repeat("A", 100_000)),
		lies(1<<63 | 1), lies(0xffffffff), lies(0xffffffff << 32), lies(1 << 30), lies(0),
		append([]byte{0xff, 0xff, 0xff, 0x7f}, random[:10]...),
	}
}

// shout says b on a bare connection and hears it out. The node may hang up at any time.
func shout(t *testing.T, address string, b []byte) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return
	}
	hear(t, c, b)
}

// whisper says b inside TLS, with a certificate that nobody of the cluster has issued.
func whisper(t *testing.T, address, proto string, b []byte) {
	cert, err := foreignCertificate()
	if err != nil {
		t.Error(err)
		return
	}
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
	if proto != "" {
		config.NextProtos = []string{proto}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return // refused already
	}
	hear(t, c, b)
}

func hear(t *testing.T, c net.Conn, b []byte) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second)) // a silent node may wait longer than we
	c.Write(b)
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	}
	answer, _ := io.ReadAll(io.LimitReader(c, 1<<20))
	for _, secret := range secrets {
		if strings.Contains(string(answer), secret) {
			t.Errorf("the answer to %.20q holds a secret", b)
		}
	}
}

// foreignCertificate is one that claims to be a node.
var foreignCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "one"}, DNSNames: []string{"one"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
})
