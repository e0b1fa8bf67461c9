package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	reloadEvery = 5 * time.Second // between two looks at the files
	maxPEM      = 1 << 20         // bytes of one file
)

// A Certificate is that of the public listener, read again when its files change, so that
// renewing it needs no restart. The files may be replaced in any way: written over,
// renamed into place, or by a link in their path that leads elsewhere.
type Certificate struct {
	// AskClients has the listener ask for client certificates (RFC 8705). Set it before serving.
	AskClients bool

	certFile, keyFile string
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate]

	mu     sync.Mutex        // one look at a time
	loaded [sha256.Size]byte // sum of what current was read from
	broken [sha256.Size]byte // sum of what could not be used at the last look
	told   bool              // of that
}

// LoadCertificate reads a certificate chain and its key from PEM files.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	_, err := c.look()
	return c, err
}

// Expires returns when the certificate in use ends.
func (c *Certificate) Expires() time.Time { return c.current.Load().Leaf.NotAfter }

// Watch reads the files again when they have changed, until ctx ends.
func (c *Certificate) Watch(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.watch()
		case <-ctx.Done():
			return nil
		}
	}
}

// watch tells of files that cannot be used once it has found them so twice: between two
// looks one of the pair may have been replaced and the other not yet.
func (c *Certificate) watch() {
	sum, err := c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	again := sum == c.broken
	if !again {
		c.broken, c.told = sum, false
	}
	if err != nil && again && !c.told {
		c.told = true
		c.log.Error("certificate cannot be read, the old one stays", "error", err, "expires", c.Expires())
	}
}

// Reload reads the files now. While they cannot be used, the certificate before stays, and
// the error says why.
func (c *Certificate) Reload() error {
	_, err := c.look()
	return err
}

// look replaces the certificate if the files hold another, or leaves everything as it is.
func (c *Certificate) look() (sum [sha256.Size]byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pem [2][]byte
	for i, name := range []string{c.certFile, c.keyFile} {
		if pem[i], err = readPEM(name); err != nil {
			return sha256.Sum256([]byte(err.Error())), fmt.Errorf("certificate: %w", err)
		}
	}
	if sum = sha256.Sum256(bytes.Join(pem[:], []byte{0})); sum == c.loaded {
		return sum, nil
	}
	pair, err := tls.X509KeyPair(pem[0], pem[1])
	if err != nil {
		return sum, fmt.Errorf("certificate %s: %w", c.certFile, err)
	}
	if c.current.Swap(&pair) != nil {
		c.log.Info("certificate read again", "file", c.certFile, "expires", pair.Leaf.NotAfter)
	}
	c.loaded = sum
	return sum, nil
}

func readPEM(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("too large for a certificate or key")}
	}
	return b, err
}

func (c *Certificate) config(ask bool) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if ask {
		cfg.ClientAuth = tls.RequestClientCert // who certified it is for the rooms to judge; many are self-signed
	}
	return cfg
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// expiry is shared with the certificates of the cluster, which is why Describe keeps it back.
var expiry = prometheus.NewDesc("quis_certificate_expiry_timestamp_seconds", "When a certificate ends, in Unix time.", []string{"name"}, nil)

// Describe describes nothing: others collect the same metric for other certificates.
func (c *Certificate) Describe(chan<- *prometheus.Desc) {}

// Collect says when the certificate in use ends.
func (c *Certificate) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(expiry, prometheus.GaugeValue, float64(c.Expires().Unix()), "public")
}
