package api

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

func someCertificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func first(certs []*x509.Certificate) *x509.Certificate {
	if len(certs) == 0 {
		return nil
	}
	return certs[0]
}

func spellings(c *x509.Certificate) map[string]string {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	b64 := base64.StdEncoding.EncodeToString(c.Raw)
	return map[string]string{
		"nginx": url.PathEscape(text), "nginx, as a query": url.QueryEscape(text), "HAProxy": b64, "Traefik": b64 + "," + b64,
		"RFC 9440": ":" + b64 + ":", "Envoy": `By=spiffe://x;Hash=00;Cert="` + url.PathEscape(text) + `";Subject="CN=x"`,
	}
}

func TestReadsCertificatesAsProxiesWriteThem(t *testing.T) {
	t.Parallel()
	cert := someCertificate(t, "app")
	for name, text := range spellings(cert) {
		got := first(parseCertificates(text))
		if name == "nginx, as a query" {
			if got != nil && !got.Equal(cert) {
				t.Errorf("%s: another certificate", name)
			}
			continue
		}
		if got == nil || !got.Equal(cert) {
			t.Errorf("%s: %v", name, got)
		}
	}
	two := `Cert="` + url.PathEscape(spellings(cert)["nginx"]) + `",Cert="x"`
	for _, text := range []string{"", "x", "(null)", "%zz", two, string(bytes.Repeat([]byte("A"), maxCertificate+1)), "-----BEGIN CERTIFICATE-----"} {
		if parseCertificates(text) != nil {
			t.Errorf("%.40q is taken for a certificate", text)
		}
	}
}

// TestRefusesForgedCertificateHeader: what anybody can write in a header proves nothing.
func TestRefusesForgedCertificateHeader(t *testing.T) {
	t.Parallel()
	own, others := someCertificate(t, "own"), someCertificate(t, "others")
	header := spellings(others)["HAProxy"]
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	overTLS := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}}
	for _, c := range []struct {
		name, peer, configured string
		values                 []string
		tls                    *tls.ConnectionState
		want                   *x509.Certificate
	}{
		{"from the proxy", "10.1.2.3:1", "X-Cert", []string{header}, nil, others},
		{"from a stranger", "192.0.2.1:1", "X-Cert", []string{header}, nil, nil},
		{"from a stranger with a certificate", "192.0.2.1:1", "X-Cert", []string{header}, overTLS, own},
		{"header not configured", "10.1.2.3:1", "", []string{header}, nil, nil},
		{"the proxy's own certificate", "10.1.2.3:1", "X-Cert", nil, overTLS, nil},
		{"the proxy's own, no header configured", "10.1.2.3:1", "", nil, overTLS, nil},
		{"header twice", "10.1.2.3:1", "X-Cert", []string{header, spellings(own)["HAProxy"]}, nil, nil},
		{"direct TLS", "192.0.2.1:1", "", nil, overTLS, own},
		{"no certificate", "192.0.2.1:1", "", nil, &tls.ConnectionState{}, nil},
		{"Unix socket", "@", "X-Cert", []string{header}, nil, nil},
	} {
		d := &door{cfg: Config{TrustedProxies: proxies, CertificateHeader: c.configured}}
		r := httptest.NewRequest("POST", "/oauth2/token", nil)
		r.RemoteAddr, r.TLS = c.peer, c.tls
		r.Header["X-Cert"] = c.values
		if got := first(d.certificates(r)); (got == nil) != (c.want == nil) || got != nil && !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestTLSAsksForCertificates: what a client proves in TLS arrives, and only if the listener asks.
func TestTLSAsksForCertificates(t *testing.T) {
	t.Parallel()
	certFile, keyFile := writeCertificate(t, t.TempDir(), 7)
	own, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, ask := range []bool{true, false} {
		cert, err := LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		cert.AskClients = ask
		d := &door{}
		addr, stop := serving(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c := first(d.certificates(r)); c != nil {
				io.WriteString(w, c.SerialNumber.String())
			}
		}), cert)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // the server's certificate is not what this is about
			Certificates:       []tls.Certificate{own},
		}}}
		resp, err := client.Get("https://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || ask != (string(got) == "7") {
			t.Errorf("asks %v: the certificate that arrived is %q, %v", ask, got, err)
		}
		client.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	for _, text := range spellings(someCertificate(f, "app")) {
		f.Add(text)
	}
	f.Add(`Cert="`)
	f.Fuzz(func(t *testing.T, text string) {
		if c := first(parseCertificates(text)); c != nil && len(c.Raw) == 0 {
			t.Fatalf("%q", text)
		}
	})
}
