package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	protectedPath = "/.well-known/oauth-protected-resource"
	userinfoPath  = "/oauth2/userinfo"
)

// protectedMetadata is what an API says of itself (RFC 9728, section 2).
type protectedMetadata struct {
	Resource    string   `json:"resource"`
	Name        string   `json:"resource_name,omitempty"`
	Servers     []string `json:"authorization_servers"`
	Scopes      []string `json:"scopes_supported,omitempty"`
	Methods     []string `json:"bearer_methods_supported"`
	ProofAlgs   []string `json:"dpop_signing_alg_values_supported"`
	DetailTypes []string `json:"authorization_details_types_supported,omitempty"`
}

// protected serves the metadata of our own API, userinfo, under its path, and as a help
// to others those of a registered resource server: under its ID, or by its identifier in
// ?resource=. The API copies the document to where the RFC looks for it, or sends there.
func (p *Provider) protected(w http.ResponseWriter, r *http.Request) {
	t := identity.TenantFrom(r.Context())
	which := strings.Trim(r.PathValue("resource"), "/")
	d := protectedMetadata{Servers: []string{t.Issuer}, Methods: []string{"header"}, ProofAlgs: jose.Asymmetric}
	identifier := r.URL.Query().Get("resource")
	if own := t.Issuer + userinfoPath; "/"+which == userinfoPath || which == "" && (identifier == "" || identifier == own) {
		d.Resource, d.Name = own, "Userinfo"
		d.Scopes = []string{federation.ScopeOpenID, federation.ScopeProfile, federation.ScopeEmail, federation.ScopeGroups}
		p.publishProtected(w, r, d, nil)
		return
	}
	err := p.lookup(r.Context(), func(tx *fsm.Tx) (err error) {
		var s *resource.Server
		if which != "" {
			s, _, err = resource.GetServer(tx, t.ID, which)
		} else {
			s, err = resource.ByIdentifier(tx, t.ID, identifier)
		}
		if err != nil {
			return err
		}
		if s.Disabled {
			return fsm.ErrNotFound
		}
		d.Resource, d.Name, d.DetailTypes = s.Identifier, s.Name, nil
		for _, kind := range s.Details {
			d.DetailTypes = append(d.DetailTypes, kind.Name)
		}
		d.Scopes, err = resource.ScopesOf(tx, t.ID, s.ID)
		return err
	})
	p.publishProtected(w, r, d, err)
}

func (p *Provider) publishProtected(w http.ResponseWriter, r *http.Request, d protectedMetadata, err error) {
	if errors.Is(err, fsm.ErrNotFound) {
		http.Error(w, "There is no such resource.", http.StatusNotFound)
		return
	}
	body, fault := json.MarshalIndent(d, "", "  ")
	if err = errors.Join(err, fault); err != nil {
		p.writeError(w, r, fmt.Errorf("resource metadata: %w", err))
		return
	}
	publish(w, "application/json", body, 300)
}

// metadataParameter leads from a refused token to the metadata of the resource (RFC 9728, section 5.1).
func metadataParameter(issuer string) string {
	return `resource_metadata="` + quoted(issuer) + protectedPath + userinfoPath + `"`
}
