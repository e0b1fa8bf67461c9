package consent

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	// Life is for how long an answer holds: a person is asked anew once a year.
	Life = 365 * 24 * time.Hour
	// remain is how long the row of a revocation is kept: longer than any code or question
	// from before it.
	remain  = 2 * time.Hour
	maxKept = 200 // scopes, or details, of one row
)

// A Consent is what a user has allowed an application.
type Consent struct {
	Tenant      string    `cbor:"1,keyasint,omitempty"`
	UserID      string    `cbor:"2,keyasint,omitempty"`
	Application string    `cbor:"3,keyasint,omitempty"`
	Scopes      []string  `cbor:"4,keyasint,omitempty"`
	Declined    []string  `cbor:"5,keyasint,omitempty"` // optional scopes that were left out
	Resources   []string  `cbor:"6,keyasint,omitempty"` // URIs of resource servers
	DetailTypes []string  `cbor:"7,keyasint,omitempty"` // of authorization details
	Details     []string  `cbor:"8,keyasint,omitempty"` // digests of those that are not asked about again
	Claims      []string  `cbor:"9,keyasint,omitempty"` // beyond those of the scopes
	Given       time.Time `cbor:"10,keyasint,omitempty"`
	Updated     time.Time `cbor:"11,keyasint,omitempty"`
	Until       time.Time `cbor:"12,keyasint,omitempty"`
	Revoked     time.Time `cbor:"13,keyasint,omitempty"` // zero: it stands
	Question    string    `cbor:"14,keyasint,omitempty"` // ID of the one that was answered last
	Since       uint64    `cbor:"15,keyasint,omitempty"` // log index of the last revocation: what was given before is void
}

var (
	consents = fsm.NewTable(122, "consents", fsm.Spec[Consent]{
		Scope:   func(c *Consent) fsm.Scope { return fsm.Scope(c.Tenant) },
		Key:     func(c *Consent) fsm.Key { return fsm.K(c.UserID, c.Application) },
		Expires: func(c *Consent) time.Time { return c.Until },
	})
	consentsByApplication = consents.Index(1, "application", func(c *Consent) []fsm.Key { return []fsm.Key{fsm.K(c.Application)} })
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{consents}

// Get returns what stands of a user's consent to an application, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant, userID, application string) (*Consent, error) {
	c, _, err := stored(tx, tenant, userID, application)
	if err == nil && c == nil || err == nil && !c.Revoked.IsZero() {
		return nil, fmt.Errorf("consent: %w", fsm.ErrNotFound)
	}
	return c, err
}

// stored returns the row, revoked or not, and its revision; nil and 0 if there is none.
func stored(tx *fsm.Tx, tenant, userID, application string) (*Consent, uint64, error) {
	c, rev, err := consents.GetRev(tx, fsm.Scope(tenant), fsm.K(userID, application))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, 0, nil
	}
	return c, rev, err
}

// replaced reports whether a row of that revision came with a backup. What it allows may have
// been taken back since the backup was made, so that it allows nothing any more; that it
// is there is remembered.
func replaced(tx *fsm.Tx, rev uint64) (bool, error) {
	_, began, err := seal.EpochOf(tx)
	return err == nil && rev < began, err
}

// ListOf yields what a user has allowed applications.
func ListOf(tx *fsm.Tx, tenant, userID string) iter.Seq2[*Consent, error] {
	return standing(consents.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID))))
}

// ListTo returns a page of what users have allowed an application, and the cursor of the
// next page. limit is at most 500; 0 means 50.
func ListTo(tx *fsm.Tx, tenant, application, after string, limit int) ([]Consent, string, error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	var page []Consent
	for c, err := range standing(consentsByApplication.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(application)), fsm.After(after))) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit {
			return page, consentsByApplication.Cursor(&page[limit-1]), nil
		}
		page = append(page, *c)
	}
	return page, "", nil
}

func standing(rows iter.Seq2[*Consent, error]) iter.Seq2[*Consent, error] {
	return func(yield func(*Consent, error) bool) {
		for c, err := range rows {
			if (err != nil || c.Revoked.IsZero()) && !yield(c, err) {
				return
			}
		}
	}
}

// Revoke takes back what a user has allowed an application: its tokens are dead, refresh
// and access tokens alike, and so are codes on their way. It serves first-party
// applications as well, to which nobody was asked to consent but which hold tokens. It
// reports fsm.ErrNotFound if there is neither.
func Revoke(tx *fsm.Tx, tenant, userID, application, reason string) error {
	c, _, err := stored(tx, tenant, userID, application)
	if err != nil {
		return err
	}
	held, err := family.RevokeHeldBy(tx, tenant, userID, application, reason)
	if err != nil {
		return err
	}
	if held == 0 && (c == nil || !c.Revoked.IsZero()) {
		return fmt.Errorf("consent: %w", fsm.ErrNotFound)
	}
	gone := Consent{Tenant: tenant, UserID: userID, Application: application, Revoked: tx.Now(), Until: tx.Now().Add(remain)}
	if err := consents.Put(tx, &gone); err != nil {
		return err
	}
	return tell(tx, &gone, event.ConsentRevoked, map[string]string{"reason": reason})
}

// Stands reports family.ErrDead for what an application was given for a user by a state,
// at a log index, that did not know yet that the consent to it was taken back. It is the
// check of whoever begins a family.
func Stands(tx *fsm.Tx, tenant, userID, application string, given uint64) error {
	c, rev, err := stored(tx, tenant, userID, application)
	if err != nil || c == nil {
		return err
	}
	since := c.Since
	if !c.Revoked.IsZero() {
		since = rev
	}
	if given < since {
		return fmt.Errorf("consent was taken back: %w", family.ErrDead)
	}
	return nil
}

// remember lays an answer over what was remembered before.
func remember(tx *fsm.Tx, old *Consent, rev uint64, now Consent) error {
	now.Given, now.Updated, now.Until = tx.Now(), tx.Now(), tx.Now().Add(Life)
	if old != nil && !old.Revoked.IsZero() {
		now.Since = rev
	} else if old != nil {
		now.Given, now.Since = old.Given, old.Since
		refused := now.Declined
		now.Scopes = union(without(old.Scopes, refused), now.Scopes)
		now.Declined = union(without(old.Declined, now.Scopes), refused)
		now.Resources = union(old.Resources, now.Resources)
		now.DetailTypes = union(old.DetailTypes, now.DetailTypes)
		now.Details = union(old.Details, now.Details)
		now.Claims = union(old.Claims, now.Claims)
	}
	if err := consents.Put(tx, &now); err != nil {
		return err
	}
	return tell(tx, &now, event.ConsentGiven, map[string]string{
		"scope": strings.Join(now.Scopes, " "), "declined": strings.Join(now.Declined, " "),
		"resources": strings.Join(now.Resources, " "), "authorization_details": strings.Join(now.DetailTypes, " "),
		"claims": strings.Join(now.Claims, " "),
	})
}

// union is what is in either, the newest maxKept at most.
func union(old, more []string) []string {
	all := append(without(old, more), more...)
	return all[max(0, len(all)-maxKept):]
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

func tell(tx *fsm.Tx, c *Consent, what event.Type, data map[string]string) error {
	for k, v := range data {
		if v == "" {
			delete(data, k)
		}
	}
	data["user"] = c.UserID
	return event.Append(tx, event.Event{
		Tenant: c.Tenant, Type: what, Target: event.Target{Kind: "application", ID: c.Application}, Data: data,
	})
}
