package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/identity"
)

// sectors are the documents of sector_identifier_uri (OpenID Connect Core, section 8.1).
var sectors = fetch.Document{Name: "sector identifier", Types: []string{"application/json"}, MaxBytes: 64 << 10}

// CheckURLs looks at what has changed of the URLs that p registers and old did not: none
// may be one that this node would not send requests to, and the document of
// sector_identifier_uri must list every redirect URI. It asks the network and belongs
// before the transaction. Errors are identity.ErrInvalid naming the field.
func CheckURLs(ctx context.Context, c *fetch.Client, old, p *federation.Application) error {
	if c == nil {
		return nil
	}
	before := old.Fetched()
	for _, f := range p.Fetched() {
		if slices.Contains(before, f) {
			continue
		}
		if err := federation.Unfetchable(f[0], f[1], c.Check(f[1])); err != nil {
			return err
		}
	}
	s := p.Subject
	if s.SectorURI == "" || s.SectorURI == old.Subject.SectorURI && slices.Equal(p.RedirectURIs, old.RedirectURIs) {
		return nil
	}
	a, err := c.Get(ctx, s.SectorURI, sectors)
	if errors.Is(err, fetch.ErrBusy) {
		return identity.Limited("Too many documents are being fetched.", 0)
	}
	if err != nil {
		return federation.Unfetchable("sector_identifier_uri", s.SectorURI, err)
	}
	var listed []string
	if json.Unmarshal(a.Body, &listed) != nil {
		return identity.Invalid("sector_identifier_uri", "its document is not a JSON list of redirect URIs")
	}
	for _, uri := range p.RedirectURIs {
		if !slices.Contains(listed, uri) {
			return identity.Invalid("sector_identifier_uri", fmt.Sprintf("its document does not list the redirect URI %q", identity.Printable(uri, 120)))
		}
	}
	return nil
}
