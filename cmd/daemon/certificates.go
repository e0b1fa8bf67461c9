package daemon

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/identity/credential/certificate"
)

// How lists of revoked certificates are kept: what is published is looked at once an hour, or
// as often as it asks for, and each list is judged again whenever it is used.
var keepLists = fetch.Keeping{
	Min: 5 * time.Minute, Max: time.Hour, Default: time.Hour, Stale: time.Hour,
	Interval: 30 * time.Second, Entries: 100, Bytes: 32 << 20,
}

// newRevocation returns by what it is learned whether people's certificates have been revoked.
// Addresses are named by administrators of tenants and by those who certify, and mostly with
// plain HTTP, since what is there is signed: outbound.ports opens that.
func (n *Node) newRevocation() certificate.Sources {
	asking := n.outbound.Plain()
	lists := fetch.NewCache(asking, fetch.Document{
		Name: "list of revoked certificates", MaxBytes: 4 << 20,
		Types: []string{"application/pkix-crl", "application/x-pkcs7-crl", "application/octet-stream", "application/x-x509-crl"},
	}, keepLists, certificate.ParseList)
	answer := fetch.Document{Name: "OCSP answer", Types: []string{"application/ocsp-response"}, MaxBytes: 64 << 10}
	return certificate.Sources{
		CRL: func(ctx context.Context, url string) (*x509.RevocationList, error) { return lists.Get(ctx, url) },
		OCSP: func(ctx context.Context, url string) ([]byte, error) {
			a, err := asking.Get(ctx, url, answer)
			return a.Body, err
		},
	}
}

// serveCertificates opens the door where people's browsers are asked for certificates, if the
// operator wants it to be one of its own.
func (n *Node) serveCertificates(door *api.API) {
	if n.certificates == nil {
		return
	}
	n.servers.Go(func() {
		if err := api.ServePeople(n.serving, n.certificates, n.leaving(door.Public), n.cert, n.cfg.PublicURL+"/", n.log); err != nil {
			n.fail(err)
		}
	})
}
