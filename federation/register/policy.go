package register

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// Who may register, see Policy.Mode.
const (
	Closed = "closed" // nobody
	Token  = "token"  // whoever has an initial access token
	Open   = "open"   // everybody, within the limits
)

const (
	defaultMax  = 100
	maxMax      = 100_000
	defaultKeep = 30 // days
)

// A Policy is what applications may do by themselves in a tenant. The zero value is nothing.
type Policy struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	Mode   string `cbor:"2,keyasint,omitempty"` // "": Closed
	// What they may register; none of the first two: the scopes about a person, and
	// authorization_code with refresh_token.
	Scopes []string `cbor:"3,keyasint,omitempty"`
	Grants []string `cbor:"4,keyasint,omitempty"`
	// Hosts that redirect URIs may lead to; none: any. An entry that begins with a dot
	// stands for all names below it, localhost for this very machine.
	Hosts   []string `cbor:"5,keyasint,omitempty"`
	Max     int64    `cbor:"6,keyasint,omitempty"` // applications that there may be; 0: 100
	Unused  int64    `cbor:"7,keyasint,omitempty"` // days after which one that nobody has used ends; 0: 30
	Consent string   `cbor:"8,keyasint,omitempty"` // forced on them; "": ConsentExplicit
	// Documents lets applications be known by the document that their client_id leads to,
	// from DocumentHosts alone if there are any (as Hosts).
	Documents     bool     `cbor:"9,keyasint,omitempty"`
	DocumentHosts []string `cbor:"10,keyasint,omitempty"`
}

var policies = fsm.NewTable(107, "registration_policies", fsm.Spec[Policy]{
	Scope: func(p *Policy) fsm.Scope { return fsm.Scope(p.Tenant) },
	Key:   func(*Policy) fsm.Key { return fsm.K("policy") },
})

// Tables are the tables of this room.
var Tables = []fsm.Definition{policies, tokens}

// GetPolicy returns the policy of a tenant and its revision, 0 if nobody has set one.
func GetPolicy(tx *fsm.Tx, tenant string) (*Policy, uint64, error) {
	p, rev, err := policies.GetRev(tx, fsm.Scope(tenant), fsm.K("policy"))
	if errors.Is(err, fsm.ErrNotFound) {
		return &Policy{Tenant: tenant}, 0, nil
	}
	return p, rev, err
}

// SetPolicy decides the policy of a tenant. What is registered already stays as it is.
func SetPolicy(tx *fsm.Tx, p Policy) error {
	if err := p.check(); err != nil {
		return err
	}
	old, _, err := GetPolicy(tx, p.Tenant)
	if err != nil {
		return err
	}
	changes := event.Diff(old.fields(), p.fields())
	if len(changes) == 0 {
		return nil
	}
	if err := policies.Put(tx, &p); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: p.Tenant, Type: event.RegistrationPolicySet, Target: event.Target{Kind: "tenant", ID: p.Tenant}, Changes: changes,
	})
}

func (p *Policy) check() error {
	switch {
	case p.Tenant == "":
		return identity.Invalid("tenant", "must be set")
	case !slices.Contains([]string{"", Closed, Token, Open}, p.Mode):
		return identity.Invalid("mode", "must be closed, token or open")
	case !slices.Contains([]string{"", federation.ConsentExplicit, federation.ConsentAlways}, p.Consent):
		return identity.Invalid("consent_mode", "must be explicit or always: nobody vouches for what registers itself")
	case p.Max < 0 || p.Max > maxMax:
		return identity.Invalid("max_applications", fmt.Sprintf("must be 0 to %d", maxMax))
	case p.Unused < 0 || p.Unused > 3650:
		return identity.Invalid("unused_days", "must be 0 to 3650")
	}
	for _, s := range p.Scopes {
		if !federation.ValidScope(s) {
			return identity.Invalid("scopes", "a scope is malformed")
		}
	}
	for _, g := range p.Grants {
		if !slices.Contains(federation.GrantTypes, g) {
			return identity.Invalid("grant_types", fmt.Sprintf("%q is unknown", identity.Printable(g, 80)))
		}
	}
	for field, hosts := range map[string][]string{"redirect_hosts": p.Hosts, "document_hosts": p.DocumentHosts} {
		for _, h := range hosts {
			u, err := url.Parse("https://" + strings.TrimPrefix(h, ".") + "/")
			if err != nil || u.Hostname() == "" || u.Host != u.Hostname() || h != strings.ToLower(h) || strings.Contains(h, "*") {
				return identity.Invalid(field, fmt.Sprintf("%q is not a host such as app.example.com or .example.com", identity.Printable(h, 80)))
			}
		}
		if len(hosts) > 100 {
			return identity.Invalid(field, "must be at most 100")
		}
	}
	if len(p.Scopes) > 100 || len(p.Grants) > 10 {
		return identity.Invalid("scopes", "must be at most 100")
	}
	return nil
}

// AllowedScopes are those that an application may register.
func (p *Policy) AllowedScopes() []string {
	if len(p.Scopes) > 0 {
		return p.Scopes
	}
	return []string{federation.ScopeOpenID, federation.ScopeProfile, federation.ScopeEmail, federation.ScopeOffline}
}

// AllowedGrants are those that an application may register.
func (p *Policy) AllowedGrants() []string {
	if len(p.Grants) > 0 {
		return p.Grants
	}
	return []string{federation.GrantCode, federation.GrantRefresh}
}

// MaxApplications is how many may have registered themselves at a time.
func (p *Policy) MaxApplications() int {
	if p.Max == 0 {
		return defaultMax
	}
	return int(p.Max)
}

// permits refuses what the policy does not name.
func (p *Policy) permits(a *federation.Application) error {
	for _, s := range a.AllowedScopes {
		if !slices.Contains(p.AllowedScopes(), s) {
			return fault(codeMetadata, "Scope "+s+" may not be registered here.")
		}
	}
	for _, g := range a.GrantTypes {
		if !slices.Contains(p.AllowedGrants(), g) {
			return fault(codeMetadata, "Grant type "+g+" may not be registered here.")
		}
	}
	// Whose host it is shows where codes go, and in nothing else: by another way anybody could
	// learn the names that people have with the applications of a host.
	if a.Subject.Type == federation.SubjectPairwise && (a.Allows(federation.GrantDevice) || a.Allows(federation.GrantCIBA)) {
		return fault(codeMetadata, "Pairwise subjects are not for applications that get tokens without a redirect URI.")
	}
	for _, raw := range a.RedirectURIs {
		if federation.IsPattern(raw) {
			return fault(codeRedirectURI, "A redirect URI must be written out.")
		}
	}
	for _, raw := range slices.Concat(a.RedirectURIs, a.PostLogoutURIs) {
		if u, err := url.Parse(raw); err != nil || !hostIn(p.Hosts, u.Hostname()) {
			return fault(codeRedirectURI, "Redirect URIs may lead to certain hosts only, and this is none of them.")
		}
	}
	return nil
}

// hostIn reports whether a list of hosts has one; the empty list has all.
func hostIn(list []string, host string) bool {
	host = strings.ToLower(host)
	if host == "127.0.0.1" || host == "::1" {
		host = "localhost"
	}
	return len(list) == 0 || slices.ContainsFunc(list, func(h string) bool {
		return h == host || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h)
	})
}

// impose sets what an application may not decide itself.
func (p *Policy) impose(a *federation.Application, now time.Time) {
	a.Consent = p.Consent
	if a.Consent == "" {
		a.Consent = federation.ConsentExplicit
	}
	// Whether it was used is known by what people have allowed it: of one that needs
	// nobody's leave it is not.
	if a.Registration.Expires = p.unusedEnd(now); a.Allows(federation.GrantClientCredentials) || a.Consent == federation.ConsentAlways {
		a.Registration.Expires = time.Time{}
	}
}

// unusedEnd is when an application that nobody has allowed anything until then ends.
func (p *Policy) unusedEnd(now time.Time) time.Time {
	days := p.Unused
	if days == 0 {
		days = defaultKeep
	}
	return now.AddDate(0, 0, int(days))
}

// full reports whether no further application of that kind may be registered.
func (p *Policy) full(tx *fsm.Tx, kind string) (bool, error) {
	n := 0
	for _, err := range federation.ListRegistered(tx, p.Tenant, kind) {
		if err != nil {
			return false, err
		}
		if n++; n >= p.MaxApplications() {
			return true, nil
		}
	}
	return false, nil
}

func (p *Policy) fields() [][2]string {
	return [][2]string{
		{"mode", p.Mode}, {"scopes", strings.Join(p.Scopes, " ")}, {"grant_types", strings.Join(p.Grants, " ")}, {"redirect_hosts", strings.Join(p.Hosts, " ")},
		{"max_applications", fmt.Sprint(p.Max)}, {"unused_days", fmt.Sprint(p.Unused)}, {"consent_mode", p.Consent},
		{"metadata_documents", fmt.Sprint(p.Documents)}, {"document_hosts", strings.Join(p.DocumentHosts, " ")},
	}
}
