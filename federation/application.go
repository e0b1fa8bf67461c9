package federation

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

// Types of application.
const (
	TypeOIDC = "oidc" // runs on a server and can keep a secret, unless IsPublic
	TypeSPA  = "spa"  // runs in a browser; always public
)

// Grant types that an application may be allowed (RFC 6749, section 1.3).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// DefaultTokenExpiry is the life of access and ID tokens, in seconds, of an application that sets none.
const DefaultTokenExpiry = 3600

// An Application is something that signs people in through quis, or acts for itself.
type Application struct {
	ID             string   `cbor:"1,keyasint,omitempty"`
	Tenant         string   `cbor:"2,keyasint,omitempty"`
	ClientID       string   `cbor:"3,keyasint,omitempty"`
	Name           string   `cbor:"4,keyasint,omitempty"`
	FriendlyName   string   `cbor:"5,keyasint,omitempty"` // shown instead of Name if set
	Description    string   `cbor:"6,keyasint,omitempty"`
	Type           string   `cbor:"7,keyasint,omitempty"`
	RedirectURIs   []string `cbor:"8,keyasint,omitempty"`
	PostLogoutURIs []string `cbor:"9,keyasint,omitempty"`
	AllowedScopes  []string `cbor:"10,keyasint,omitempty"`
	GrantTypes     []string `cbor:"11,keyasint,omitempty"`
	IsPublic       bool     `cbor:"12,keyasint,omitempty"`
	// RequirePKCE is kept for those who bring their applications along. PKCE is required of all, whatever it says.
	RequirePKCE bool   `cbor:"13,keyasint,omitempty"`
	TokenExpiry int64  `cbor:"14,keyasint,omitempty"` // seconds; of access and ID tokens
	SigningAlg  string `cbor:"15,keyasint,omitempty"` // "": ES256
	// IDTokenOnRefresh asks for a new ID token with every refresh; it doubles the price of one.
	IDTokenOnRefresh bool      `cbor:"16,keyasint,omitempty"`
	AccessRestricted bool      `cbor:"17,keyasint,omitempty"` // only to whom access is granted, see GrantAccess
	ShowInDashboard  bool      `cbor:"18,keyasint,omitempty"`
	LaunchURL        string    `cbor:"19,keyasint,omitempty"`
	AppGroup         string    `cbor:"20,keyasint,omitempty"` // heading in the portal
	IconURL          string    `cbor:"21,keyasint,omitempty"`
	Disabled         bool      `cbor:"22,keyasint,omitempty"`
	Secrets          []Secret  `cbor:"23,keyasint,omitempty"` // newest first, at most two
	Created          time.Time `cbor:"24,keyasint,omitempty"`
	Updated          time.Time `cbor:"25,keyasint,omitempty"`

	Consent        string          `cbor:"26,keyasint,omitempty"` // "": ConsentImplicit
	Profile        string          `cbor:"27,keyasint,omitempty"` // "" or ProfileFAPI2
	Auth           ClientAuth      `cbor:"28,keyasint,omitzero"`
	Tokens         TokenSettings   `cbor:"29,keyasint,omitzero"`
	Requests       RequestSettings `cbor:"30,keyasint,omitzero"`
	Logout         LogoutSettings  `cbor:"31,keyasint,omitzero"`
	Refresh        RefreshPolicy   `cbor:"32,keyasint,omitzero"`
	Subject        SubjectPolicy   `cbor:"33,keyasint,omitzero"`
	Claims         []ClaimMapping  `cbor:"34,keyasint,omitempty"`
	Exchange       ExchangePolicy  `cbor:"35,keyasint,omitzero"`
	CIBA           CIBASettings    `cbor:"36,keyasint,omitzero"`
	Registration   Registration    `cbor:"37,keyasint,omitzero"`
	Issuers        []TrustedIssuer `cbor:"38,keyasint,omitempty"`
	AllowedOrigins []string        `cbor:"39,keyasint,omitempty"` // of scripts that may call the token endpoint; none: any
	Contacts       []string        `cbor:"40,keyasint,omitempty"`
	Tags           []string        `cbor:"41,keyasint,omitempty"`
	Owner          string          `cbor:"42,keyasint,omitempty"` // who answers for it, for people
	ClientURI      string          `cbor:"43,keyasint,omitempty"`
	PolicyURI      string          `cbor:"44,keyasint,omitempty"`
	TermsURI       string          `cbor:"45,keyasint,omitempty"`
	MFAPolicy      string          `cbor:"46,keyasint,omitempty"` // "": what holds in general
}

// DisplayName is what a person is shown.
func (a *Application) DisplayName() string {
	if a.FriendlyName != "" {
		return a.FriendlyName
	}
	return a.Name
}

// App names the application to package claim.
func (a *Application) App() claim.App {
	return claim.App{Tenant: a.Tenant, ID: a.ID, ClientID: a.ClientID, Name: a.DisplayName()}
}

// Allows reports whether the application may use the grant type.
func (a *Application) Allows(grant string) bool { return slices.Contains(a.GrantTypes, grant) }

// Modern reports whether a has settings that the first release knows nothing of: it
// would lose them with its next change, and hold nobody to them.
func (a *Application) Modern() bool {
	v := reflect.ValueOf(a).Elem()
	first, _ := v.Type().FieldByName("Consent")
	for i := first.Index[0]; i < v.NumField(); i++ {
		if !v.Field(i).IsZero() {
			return true
		}
	}
	older := []string{GrantCode, GrantRefresh, GrantClientCredentials}
	return slices.ContainsFunc(a.GrantTypes, func(g string) bool { return !slices.Contains(older, g) }) ||
		slices.ContainsFunc(a.RedirectURIs, func(u string) bool { return strings.HasPrefix(u, "regex:") })
}

var (
	applications = fsm.NewTable(100, "applications", fsm.Spec[Application]{
		Scope: func(a *Application) fsm.Scope { return fsm.Scope(a.Tenant) },
		Key:   func(a *Application) fsm.Key { return fsm.K(a.ID) },
	})
	applicationsByClientID = applications.Unique(1, "client_id", func(a *Application) []fsm.Key {
		return []fsm.Key{fsm.K(a.ClientID)}
	})
	applicationsRegistered = applications.Index(2, "registered", func(a *Application) []fsm.Key {
		if a.Registration.Kind == RegisteredByAdmin {
			return nil
		}
		return []fsm.Key{fsm.K(a.Registration.Kind)}
	})
)

// Tables are the tables of this room.
var Tables = append([]fsm.Definition{applications, accessRules, pairwiseSecrets, lastUse}, claim.Tables...)

// Create registers an application and returns the secret, which is not stored
// and cannot be shown again. ID and an empty ClientID are generated; so is an
// empty secret, unless the application is public or authenticates by a key. It reports identity.ErrInvalid
// naming the field, or fsm.ErrExists if the client_id is taken.
func Create(tx *fsm.Tx, ring *seal.Ring, a *Application, secret string) (string, error) {
	a.ID = identity.NewID(identity.PrefixApplication)
	if a.ClientID == "" {
		a.ClientID = a.ID
	}
	complete(a)
	if err := a.validate(); err != nil {
		return "", err
	}
	if err := settleSubject(tx, a); err != nil {
		return "", err
	}
	a.Created, a.Updated = tx.Now(), tx.Now()
	a.Secrets = nil
	switch {
	case a.IsPublic && secret != "":
		return "", identity.Invalid("client_secret", "a public application cannot keep a secret")
	case !a.IsPublic && (secret != "" || !a.Auth.usesKeys()):
		s, clear, err := newSecret(ring, a, secret, tx.Now())
		if err != nil {
			return "", err
		}
		a.Secrets, secret = []Secret{s}, clear
	}
	if err := applications.Insert(tx, a); err != nil {
		return "", taken(err)
	}
	return secret, tell(tx, a, event.ApplicationCreated)
}

func taken(err error) error {
	if errors.Is(err, fsm.ErrExists) {
		return identity.Exists("client_id", "another application has this client_id")
	}
	return err
}

// complete sets what was left open.
func complete(a *Application) {
	if a.Type == "" {
		a.Type = TypeOIDC
	}
	if a.Type == TypeSPA {
		a.IsPublic = true
	}
	if len(a.GrantTypes) == 0 {
		a.GrantTypes = []string{GrantCode, GrantRefresh}
	}
	if a.AllowedScopes == nil {
		a.AllowedScopes = []string{"openid", "profile", "email", "groups"}
	}
	if a.TokenExpiry == 0 {
		a.TokenExpiry = DefaultTokenExpiry
	}
	a.RequirePKCE = true
}

// Get returns an application and its revision, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant, id string) (*Application, uint64, error) {
	a, rev, err := applications.GetRev(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil {
		return nil, 0, fmt.Errorf("application %q: %w", id, err)
	}
	return a, rev, nil
}

// ByClientID returns the application with that client_id, or fsm.ErrNotFound.
func ByClientID(tx *fsm.Tx, tenant, clientID string) (*Application, error) {
	a, err := applicationsByClientID.Get(tx, fsm.Scope(tenant), fsm.K(clientID))
	if err != nil {
		return nil, fmt.Errorf("application by client_id: %w", err)
	}
	return a, nil
}

// List returns a page of a tenant's applications, oldest first, and the cursor of
// the next page. limit is at most 500; 0 means 50.
func List(tx *fsm.Tx, tenant, after string, limit int) ([]Application, string, error) {
	return Find(tx, tenant, after, limit, func(*Application) bool { return true })
}

// Find is List of those that fit alone.
func Find(tx *fsm.Tx, tenant, after string, limit int, fits func(*Application) bool) ([]Application, string, error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	var page []Application
	for a, err := range applications.List(tx, fsm.Scope(tenant), fsm.After(after)) {
		switch {
		case err != nil:
			return nil, "", err
		case !fits(a):
		case len(page) == limit:
			return page, applications.Cursor(&page[limit-1]), nil
		default:
			page = append(page, *a)
		}
	}
	return page, "", nil
}

// Update lets change edit the application at revision rev (0: any) and returns it
// as it then is; a change that changes nothing writes nothing. ID, client_id,
// secrets, times and whether it is public are not its to change. Errors are
// those of Create, fsm.ErrNotFound and identity.ErrPrecondition.
func Update(tx *fsm.Tx, tenant, id string, rev uint64, change func(*Application) error) (*Application, error) {
	old, at, err := Get(tx, tenant, id)
	if err != nil {
		return nil, err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return nil, err
	}
	a := old.clone()
	if err := change(a); err != nil {
		return nil, err
	}
	a.ID, a.Tenant, a.ClientID, a.Secrets = old.ID, old.Tenant, old.ClientID, old.Secrets
	a.Created, a.Updated, a.Registration = old.Created, old.Updated, old.Registration
	if a.Auth.Method != AuthSecretJWT {
		a.Secrets = withoutCopies(a.Secrets)
	}
	complete(a)
	if a.IsPublic != old.IsPublic {
		return nil, identity.Invalid("type", "whether it can keep a secret is decided once; create a new application")
	}
	if err := a.validate(); err != nil {
		return nil, err
	}
	if err := settleSubject(tx, a); err != nil {
		return nil, err
	}
	changes := event.Diff(old.fields(), a.fields())
	if len(changes) == 0 {
		return old, nil
	}
	a.Updated = tx.Now()
	if err := applications.Put(tx, a); err != nil {
		return nil, err
	}
	return a, tell(tx, a, event.ApplicationUpdated, changes...)
}

// Delete removes the application at revision rev (0: any) and the access rules
// and roles that belong to it. Families that it holds end with it: they name its ID, which never returns.
func Delete(tx *fsm.Tx, tenant, id string, rev uint64) error {
	a, at, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	for r, err := range accessRules.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(id))) {
		if err != nil {
			return err
		}
		if err := accessRules.Delete(tx, fsm.Scope(tenant), r.key()); err != nil {
			return err
		}
	}
	if err := claim.Clear(tx, tenant, id); err != nil {
		return err
	}
	if err := applications.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	if err := lastUse.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	return tell(tx, a, event.ApplicationDeleted)
}

// Count returns how many applications there are, in all tenants.
func Count(tx *fsm.Tx) (int, error) { return applications.CountAll(tx) }
