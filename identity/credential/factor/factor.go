package factor

import (
	"errors"
	"strings"

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
	ids, err := of(tx, tenant, userID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := Remove(tx, tenant, userID, id); err != nil {
			return err
		}
	}
	if err := recovery.Remove(tx, tenant, userID); err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	return approval.RemoveAll(tx, tenant, userID, why)
}

// of are the IDs of a user's apps, passkeys and certificates.
func of(tx *fsm.Tx, tenant, userID string) (ids []string, err error) {
	apps, err := totp.List(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		ids = append(ids, a.ID)
	}
	for k, err := range passkey.List(tx, tenant, userID) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, k.ID)
	}
	certificates, err := certificate.Of(tx, tenant, userID)
	for _, c := range certificates {
		ids = append(ids, c.ID)
	}
	return ids, err
}
