package api

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// reloadEvery bounds how often the files are looked at.
const reloadEvery = 5 * time.Second

// A Certificate is that of the public listener, read again when its files change, so that
// renewing it needs no restart.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	stamp   [2]fileStamp
	looked  time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// LoadCertificate reads a certificate chain and its key from PEM files.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.stat()
	if err != nil {
		return nil, err
	}
	if err := c.read(stamp); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// get returns the certificate for a handshake. While the files cannot be used, half
// written as they may be, the one before stays.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < reloadEvery {
		return c.current, nil
	}
	c.looked = time.Now()
	stamp, err := c.stat()
	if err == nil && stamp != c.stamp {
		if err = c.read(stamp); err == nil {
			c.log.Info("certificate read again", "file", c.certFile, "expires", c.current.Leaf.NotAfter)
		}
	}
	if err != nil {
		c.log.Error("certificate cannot be read, the old one stays", "error", err)
	}
	return c.current, nil
}

// read replaces the certificate, or leaves everything as it is.
func (c *Certificate) read(stamp [2]fileStamp) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.certFile, err)
	}
	c.current, c.stamp, c.looked = &pair, stamp, time.Now()
	return nil
}

func (c *Certificate) stat() (stamp [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}
