package api

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writeCertificate makes a self-signed certificate with this serial number.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func serial(t *testing.T, c *Certificate) int64 {
	t.Helper()
	c.watch()
	got, err := c.get(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Leaf.SerialNumber.Int64()
}

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, 1)
	var log bytes.Buffer
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if got := serial(t, c); got != 1 {
		t.Errorf("serial %d, want 1", got)
	}
	if err := os.WriteFile(certFile, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil {
		t.Error("half a file was read without an error")
	}
	if got := serial(t, c); got != 1 || log.Len() > 0 {
		t.Errorf("serial %d with a broken file, want 1, and nothing said yet; log %s", got, &log)
	}
	for range 3 {
		if got := serial(t, c); got != 1 || bytes.Count(log.Bytes(), []byte("the old one stays")) != 1 {
			t.Errorf("serial %d with a broken file, want 1, and once said; log %s", got, &log)
		}
	}
	writeCertificate(t, dir, 2)
	if got := serial(t, c); got != 2 {
		t.Errorf("serial %d after renewal, want 2", got)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, c); got != 2 {
		t.Errorf("serial %d without a key file, want 2", got)
	}
	if _, err := LoadCertificate(certFile, keyFile, slog.Default()); err == nil {
		t.Error("a certificate without its key")
	}
}

// A pair whose halves do not belong together is what a look between two renames finds.
func TestCertificateIsRenamedIntoPlace(t *testing.T) {
	t.Parallel()
	dir, fresh := t.TempDir(), t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, 1)
	var log bytes.Buffer
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	newCert, newKey := writeCertificate(t, fresh, 2)
	if err := os.Rename(newCert, certFile); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, c); got != 1 {
		t.Errorf("serial %d with the new certificate and the old key, want 1", got)
	}
	if err := os.Rename(newKey, keyFile); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, c); got != 2 {
		t.Errorf("serial %d after both renames, want 2", got)
	}
	if bytes.Contains(log.Bytes(), []byte("level=ERROR")) {
		t.Errorf("a renewal under way was called an error: %s", &log)
	}
}

// Kubernetes leads a link called ..data to another directory, and cert-manager, too, never
// touches the files that the configuration names.
func TestCertificateChangesBehindALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := func(name string, serial int64) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeCertificate(t, filepath.Join(dir, name), serial)
		next := filepath.Join(dir, "..next")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", 1)
	var names []string
	for _, name := range []string{"cert.pem", "key.pem"} {
		names = append(names, filepath.Join(dir, name))
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := LoadCertificate(names[0], names[1], slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mount("..2", 2)
	if got := serial(t, c); got != 2 {
		t.Errorf("serial %d behind the link, want 2", got)
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(c)
	got, err := metrics.Gather()
	if err != nil || len(got) != 1 || got[0].GetMetric()[0].GetGauge().GetValue() != float64(c.Expires().Unix()) {
		t.Errorf("the metric of its end: %v, %v", got, err)
	}
}

// serving runs Serve on a port of its own and returns the function that ends it.
func serving(t *testing.T, h http.Handler, cert *Certificate) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h, cert, slog.New(slog.DiscardHandler)) }()
	return l.Addr().String(), func() error { cancel(); return <-done }
}

func TestServeLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	inside, finish := make(chan struct{}), make(chan struct{})
	addr, stop := serving(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-finish
		io.WriteString(w, "whole")
	}), nil)
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + addr)
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-inside
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // the listener closes at once, the request goes on
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		c.Close()
	}
	close(finish)
	if s := <-got; s != "whole" {
		t.Errorf("the request under way got %q", s)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := writeCertificate(t, t.TempDir(), 7)
	cert, err := LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr, stop := serving(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }), cert)
	pool := x509.NewCertPool()
	pemBytes, err := os.ReadFile(certFile)
	if err != nil || !pool.AppendCertsFromPEM(pemBytes) {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	resp, err := client.Get("https://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "HTTP/2.0" {
		t.Errorf("%q %v", b, err)
	}
	client.CloseIdleConnections()
	if _, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, http.NotFoundHandler(), nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("serving a closed listener went well")
	}
}
