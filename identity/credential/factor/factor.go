package factor

import (
	"errors"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
)

// removals are how each kind is taken away, by the prefix of its IDs.
var removals = map[string]func(tx *fsm.Tx, tenant, userID, id string) error{
	identity.PrefixTOTP:        totp.Remove,
	identity.PrefixPasskey:     passkey.Delete,
	identity.PrefixRecovery:    removeCodes,
	identity.PrefixCertificate: certificate.Delete,
	identity.PrefixApprover:    approval.Remove,
}

func removeCodes(tx *fsm.Tx, tenant, userID, id string) error {
	s, err := recovery.Get(tx, tenant, userID)
	if err != nil {
		return err
	}
	if s == nil || s.ID != id {
		return none()
	}
	return recovery.Remove(tx, tenant, userID)
}

func none() error { return identity.NotFound("This user has no such factor.") }

// Remove takes the factor with this ID away from a user, or reports fsm.ErrNotFound.
func Remove(tx *fsm.Tx, tenant, userID, id string) error {
	prefix, _, _ := strings.Cut(id, "_")
	remove := removals[prefix]
	if remove == nil {
		return none()
	}
	return remove(tx, tenant, userID, id)
}

// RemoveAll takes all factors away from a user, who need not have any. why is a few words for the
// record.
func RemoveAll(tx *fsm.Tx, tenant, userID, why string) error {
	if err := RemoveBetween(tx, tenant, userID, time.Time{}, time.Time{}); err != nil {
		return err
	}
	return approval.RemoveAll(tx, tenant, userID, why)
}

// RemoveBetween takes the factors away from a user that [Between] names.
func RemoveBetween(tx *fsm.Tx, tenant, userID string, since, until time.Time) error {
	ids, err := Between(tx, tenant, userID, since, until)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := Remove(tx, tenant, userID, id); err != nil {
			return err
		}
	}
	return nil
}

// Between returns the IDs of the factors that a user was given at or after since, and before until
// unless that is zero; browsers that approve are left out.
func Between(tx *fsm.Tx, tenant, userID string, since, until time.Time) (ids []string, err error) {
	all, err := made(tx, tenant, userID)
	for id, at := range all {
		if !at.Before(since) && (until.IsZero() || at.Before(until)) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// Any reports whether a user has a factor, browsers that approve left out.
func Any(tx *fsm.Tx, tenant, userID string) (bool, error) {
	all, err := made(tx, tenant, userID)
	return len(all) > 0, err
}

// made returns when a user was given each of their factors, by its ID, but browsers that approve.
func made(tx *fsm.Tx, tenant, userID string) (map[string]time.Time, error) {
	apps, err1 := totp.List(tx, tenant, userID)
	certificates, err2 := certificate.Of(tx, tenant, userID)
	codes, err3 := recovery.Get(tx, tenant, userID)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	all := map[string]time.Time{}
	for _, a := range apps {
		all[a.ID] = a.Created
	}
	for _, c := range certificates {
		all[c.ID] = c.Created
	}
	if codes != nil {
		all[codes.ID] = codes.Created
	}
	for k, err := range passkey.List(tx, tenant, userID) {
		if err != nil {
			return nil, err
		}
		all[k.ID] = k.Created
	}
	return all, nil
}
