// Package revocation asks authorities which of people's certificates they have revoked.
//
// Addresses are named by administrators of tenants and by those who certify, and mostly with plain
// HTTP, since what is there is signed. Where requests may go is for federation/fetch to say.
//
// Not here: what an answer is worth, which identity/credential/certificate judges each time.
package revocation

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/identity/credential/certificate"
)

// How lists are kept: what is published is looked at once an hour, or as often as it asks for.
var keep = fetch.Keeping{
	Min: 5 * time.Minute, Max: time.Hour, Default: time.Hour, Stale: time.Hour,
	Interval: 30 * time.Second, Entries: 100, Bytes: 32 << 20,
}

var (
	list = fetch.Document{
		Name: "list of revoked certificates", MaxBytes: 4 << 20,
		Types: []string{"application/pkix-crl", "application/x-pkcs7-crl", "application/octet-stream", "application/x-x509-crl"},
	}
	answer = fetch.Document{Name: "OCSP answer", Types: []string{"application/ocsp-response"}, MaxBytes: 64 << 10}
)

// Sources ask by c. Lists are kept on this node, answers are not.
func Sources(c *fetch.Client) certificate.Sources {
	asking := c.Plain()
	lists := fetch.NewCache(asking, list, keep, certificate.ParseList)
	return certificate.Sources{
		CRL: func(ctx context.Context, url string) (*x509.RevocationList, error) { return lists.Get(ctx, url) },
		OCSP: func(ctx context.Context, url string) ([]byte, error) {
			a, err := asking.Get(ctx, url, answer)
			return a.Body, err
		},
	}
}
