package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	maxDocument = 8 << 10 // bytes; the draft proposes 5 KiB
	maxName     = 100
)

// documents is what is fetched from a client_id that is a URL.
var documents = fetch.Document{Name: "client metadata", Types: []string{"application/json"}, MaxBytes: maxDocument}

// keeping: a change of redirect URIs is seen within the hour, and nothing is used longer
// than its author said because its host does not answer.
var keeping = fetch.Keeping{
	Min: time.Minute, Max: time.Hour, Default: 10 * time.Minute, Interval: time.Minute, Entries: 1000, Bytes: 4 << 20,
}

// Documents knows applications by the document that their client_id leads to
// (draft-ietf-oauth-client-id-metadata-document).
type Documents struct {
	db    *fsm.DB
	cache *fetch.Cache[*Metadata]
	ids   *fetch.Client
}

// NewDocuments returns an empty one, which fetches through c.
func NewDocuments(db *fsm.DB, c *fetch.Client) *Documents {
	c = c.Apart()
	return &Documents{db: db, ids: c, cache: fetch.NewCache(c, documents, keeping, parseDocument)}
}

// A document is metadata with the URL that it must name.
type document struct {
	Metadata
	ClientID      string          `json:"client_id"`
	Secret        json.RawMessage `json:"client_secret"`
	SecretExpires json.RawMessage `json:"client_secret_expires_at"`
}

// IsDocument reports whether a client_id is the URL of a metadata document: https with a
// path, and written in the one way that it can be compared in.
func IsDocument(clientID string) bool {
	if !strings.HasPrefix(clientID, "https://") || fetch.CheckURL(clientID) != nil {
		return false
	}
	u, err := url.Parse(clientID)
	if err != nil || u.Path == "" || u.Path == "/" || u.RawQuery != "" || u.ForceQuery || u.Host != strings.ToLower(u.Host) || u.String() != clientID {
		return false
	}
	for segment := range strings.SplitSeq(strings.ToLower(u.EscapedPath()), "/") {
		if s := strings.ReplaceAll(segment, "%2e", "."); s == "." || s == ".." {
			return false
		}
	}
	return true
}

// parseDocument reads a document as far as it stands on its own.
func parseDocument(body []byte) (*Metadata, error) {
	if _, err := names(body); err != nil {
		return nil, errors.New("it is not a JSON object with each member once")
	}
	var d document
	if json.Unmarshal(body, &d) != nil {
		return nil, errors.New("a member of it is of the wrong type")
	}
	switch {
	case d.Secret != nil || d.SecretExpires != nil:
		return nil, errors.New("it must not have a client_secret: everybody can read it")
	case d.AuthMethod != "" && d.AuthMethod != federation.AuthNone:
		return nil, errors.New("its token_endpoint_auth_method must be none")
	case len(d.RedirectURIs) == 0 || len(d.RedirectURIs) > 50:
		return nil, errors.New("it must have 1 to 50 redirect_uris")
	case len(d.Name) > maxName:
		return nil, fmt.Errorf("its client_name must have at most %d bytes", maxName)
	}
	m := d.Metadata
	m.SoftwareID = d.ClientID // until it is compared with where the document was
	return &m, nil
}

// Get returns the application that a client_id describes, fetched now if it must be, and
// whether it is stored already. It costs no entry in the log. It reports
// fsm.ErrNotFound if the tenant does not want such applications, and identity.ErrInvalid
// with the reason if the document cannot be used.
func (d *Documents) Get(ctx context.Context, tenant, clientID string) (a *federation.Application, kept bool, err error) {
	var p *Policy
	var old *federation.Application
	err = d.db.View(ctx, func(tx *fsm.Tx) (err error) {
		if p, _, err = GetPolicy(tx, tenant); err != nil {
			return err
		}
		old, _, err = federation.Get(tx, tenant, federation.DocumentID(tenant, clientID))
		if errors.Is(err, fsm.ErrNotFound) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if !p.wants(clientID) {
		return nil, false, fmt.Errorf("client_id: %w", fsm.ErrNotFound)
	}
	m, err := d.cache.Get(ctx, clientID)
	if err != nil {
		return nil, false, federation.Unfetchable("client_id", clientID, err)
	}
	if a, err = described(m, p, tenant, clientID); err != nil {
		return nil, false, err
	}
	if old != nil {
		a = federation.WithDecisions(a, old)
	}
	return a, old != nil, nil
}

// described makes an application of a document: public, asked for by explicit consent,
// and able to do what a person allows it and nothing else.
func described(m *Metadata, p *Policy, tenant, clientID string) (*federation.Application, error) {
	bad := func(why string) error { return identity.Invalid("client_id", why) }
	if m.SoftwareID != clientID {
		return nil, bad("its document names another client_id than its URL")
	}
	own, err := url.Parse(clientID)
	if err != nil {
		return nil, bad("is not a URL")
	}
	for _, raw := range m.RedirectURIs {
		if !sameOrigin(own, raw) {
			return nil, bad("a redirect URI of its document is neither of the document's origin nor of this machine")
		}
	}
	a := &federation.Application{Tenant: tenant, ClientID: clientID, Name: m.Name, Type: federation.TypeOIDC}
	if a.Name == "" {
		a.Name = own.Hostname()
	} else { // whoever is asked must see whose it is, and not only what it calls itself
		a.Name += " (" + own.Hostname() + ")"
	}
	a.RedirectURIs, a.PostLogoutURIs = m.RedirectURIs, nil
	a.GrantTypes = []string{federation.GrantCode}
	if slices.Contains(m.GrantTypes, federation.GrantRefresh) && slices.Contains(p.AllowedGrants(), federation.GrantRefresh) {
		a.GrantTypes = append(a.GrantTypes, federation.GrantRefresh)
	}
	a.AllowedScopes = p.AllowedScopes()
	a.ClientURI, a.Contacts = ownPage(own, m.URI), nil
	a.IconURL, a.TermsURI, a.PolicyURI = ownPage(own, m.Logo), ownPage(own, m.Terms), ownPage(own, m.Policy)
	a.Tokens.DPoPBound = m.DPoP
	if a.Consent = p.Consent; a.Consent == "" {
		a.Consent = federation.ConsentExplicit
	}
	return a, federation.CompleteDocument(a)
}

// sameOrigin reports whether a redirect URI is of the document's origin, or on the
// person's own machine.
func sameOrigin(own *url.URL, raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || federation.IsPattern(raw) {
		return false
	}
	if u.Scheme == "http" {
		ip, err := netip.ParseAddr(u.Hostname())
		return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	}
	return u.Scheme == "https" && u.Host == own.Host
}

// ownPage is raw if it is a page of the document's origin: what is shown beside the question
// for consent should not be somebody else's.
func ownPage(own *url.URL, raw string) string {
	if u, err := url.Parse(raw); err != nil || u.Scheme != "https" || u.Host != own.Host || u.User != nil || len(raw) > 2000 || strings.Contains(raw, "#") {
		return ""
	}
	return raw
}

// Keep stores an application that Get returned, or what has changed of it: one entry in
// the log the first time, then none. It belongs where a person who is signed in is about
// to be asked, never where a stranger is.
func (d *Documents) Keep(ctx context.Context, a *federation.Application) error {
	return d.db.Update(ctx, func(tx *fsm.Tx) error {
		now := *a
		_, _, err := federation.Get(tx, a.Tenant, a.ID)
		if errors.Is(err, fsm.ErrNotFound) {
			p, _, err := GetPolicy(tx, a.Tenant)
			if err != nil {
				return err
			}
			if full, err := p.full(tx, federation.RegisteredByDocument); err != nil || full {
				if err == nil {
					err = identity.Denied("As many applications as may be have described themselves already.")
				}
				return err
			}
			now.Registration.Expires = p.unusedEnd(tx.Now())
		} else if err != nil {
			return err
		}
		return federation.KeepDocument(tx, &now)
	})
}

// Wanted reports whether a tenant wants applications to be known by their documents, and
// this one among them.
func Wanted(tx *fsm.Tx, tenant, clientID string) (bool, error) {
	p, _, err := GetPolicy(tx, tenant)
	return err == nil && p.wants(clientID), err
}

func (p *Policy) wants(clientID string) bool {
	u, err := url.Parse(clientID)
	return err == nil && p.Documents && IsDocument(clientID) && hostIn(p.DocumentHosts, u.Hostname())
}
