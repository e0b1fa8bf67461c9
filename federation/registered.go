package federation

import (
	"crypto/sha256"
	"errors"
	"iter"
	"reflect"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// ListRegistered yields the applications of a kind that no administrator made.
func ListRegistered(tx *fsm.Tx, tenant, kind string) iter.Seq2[*Application, error] {
	return applicationsRegistered.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(kind)))
}

// Expired yields the applications of all tenants that registered themselves and whose
// time to be used for the first time is over.
func Expired(tx *fsm.Tx) iter.Seq2[*Application, error] {
	return func(yield func(*Application, error) bool) {
		for a, err := range applications.ListAll(tx) {
			if err == nil && (a.Registration.Expires.IsZero() || tx.Now().Before(a.Registration.Expires)) {
				continue
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// DocumentID is the ID of the application that a metadata document describes: the same
// on every node and for ever, so that what hangs on it is found again.
func DocumentID(tenant, url string) string {
	sum := sha256.Sum256([]byte("metadata document\x00" + tenant + "\x00" + url))
	return identity.FormatID(identity.PrefixApplication, [16]byte(sum[:16]))
}

// CompleteDocument sets of an application that its metadata document describes what the
// document does not say, and checks it as Create does. Nothing is stored.
func CompleteDocument(a *Application) error {
	a.ID = DocumentID(a.Tenant, a.ClientID)
	a.IsPublic, a.Registration.Kind = true, RegisteredByDocument
	complete(a)
	return a.validate()
}

// KeepDocument stores an application that its metadata document describes, or what has
// changed in that; what administrators decided about it stays. Without a change it
// writes nothing.
func KeepDocument(tx *fsm.Tx, a *Application) error {
	if a.Registration.Kind != RegisteredByDocument || a.ID != DocumentID(a.Tenant, a.ClientID) {
		return identity.Invalid("client_id", "is not the URL of a metadata document")
	}
	old, _, err := Get(tx, a.Tenant, a.ID)
	if errors.Is(err, fsm.ErrNotFound) {
		a.Created, a.Updated = tx.Now(), tx.Now()
		if err := applications.Insert(tx, a); err != nil {
			return taken(err)
		}
		return tell(tx, a, event.ApplicationCreated)
	}
	if err != nil {
		return err
	}
	now := WithDecisions(a, old)
	if reflect.DeepEqual(old, now) {
		return nil
	}
	now.Updated = tx.Now()
	if err := applications.Put(tx, now); err != nil {
		return err
	}
	return tell(tx, now, event.ApplicationUpdated, event.Diff(old.fields(), now.fields())...)
}

// WithDecisions returns what a document says, a, with what administrators have decided
// about the application that is stored, old.
func WithDecisions(a, old *Application) *Application {
	now := old.clone()
	now.Name, now.RedirectURIs, now.PostLogoutURIs, now.GrantTypes = a.Name, a.RedirectURIs, a.PostLogoutURIs, a.GrantTypes
	now.IconURL, now.ClientURI, now.PolicyURI, now.TermsURI, now.Contacts = a.IconURL, a.ClientURI, a.PolicyURI, a.TermsURI, a.Contacts
	now.AllowedScopes, now.Tokens.DPoPBound = a.AllowedScopes, a.Tokens.DPoPBound
	now.Registration.SoftwareID, now.Registration.SoftwareVersion = a.Registration.SoftwareID, a.Registration.SoftwareVersion
	return now
}
