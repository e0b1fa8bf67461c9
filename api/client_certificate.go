package api

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxCertificate = 16 << 10 // bytes of the header
	maxSent        = 5        // certificates that are looked at
)

// certificates returns the certificate whose private key the sender of r has proven to
// hold: to us in TLS, or to a trusted proxy that ends TLS and passes it on in the header that
// is configured; behind it, those that were sent with it. From anybody else that header is
// ignored, and the certificate that a proxy may use for its own connection is not that of
// whoever is behind it.
func (d *door) certificates(r *http.Request) []*x509.Certificate {
	if d.trusted(peerAddr(r)) {
		if values := r.Header.Values(d.cfg.CertificateHeader); d.cfg.CertificateHeader != "" && len(values) == 1 {
			return parseCertificates(values[0])
		}
		return nil
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[:min(len(r.TLS.PeerCertificates), maxSent)]
}

// parseCertificates reads a certificate as proxies write it: PEM that is escaped as in
// URLs (nginx), base64 of DER (HAProxy, Traefik, which may add its issuers behind
// commas), the same between colons (RFC 9440), or Cert="…" among other things (Envoy).
// It returns nil for anything else, for which the sender has no certificate then.
func parseCertificates(text string) []*x509.Certificate {
	if len(text) > maxCertificate {
		return nil
	}
	if strings.Contains(text, `Cert="`) { // of one hop only: more may come from whoever is before the proxy
		_, rest, _ := strings.Cut(text, `Cert="`)
		quoted, more, ok := strings.Cut(rest, `"`)
		if !ok || strings.Contains(more, `Cert="`) {
			return nil
		}
		text = quoted
	}
	plain, err := url.PathUnescape(strings.Trim(strings.TrimSpace(text), ":"))
	if err != nil {
		return nil
	}
	if block, _ := pem.Decode([]byte(plain)); block != nil && block.Type == "CERTIFICATE" {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		return []*x509.Certificate{cert}
	}
	var certs []*x509.Certificate
	for text := range strings.SplitSeq(plain, ",") {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		if certs = append(certs, cert); len(certs) == maxSent {
			break
		}
	}
	return certs
}
