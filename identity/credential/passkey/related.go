package passkey

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// RelatedOrigins is the document at /.well-known/webauthn (WebAuthn L3 §5.11.1): which
// origins may use the passkeys of the house at issuer; nil if there are none but our own. Of
// origins beyond the five different names (example in www.example.com) that browsers read, our own among
// them, none is in it.
func RelatedOrigins(issuer string, related []string) ([]byte, error) {
	if len(related) == 0 {
		return nil, nil
	}
	document, _, err := readable(issuer, related)
	if err != nil {
		return nil, err
	}
	return document.Bytes()
}

// crowded says what there would be too many of.
const crowded = "Browsers read origins of at most five different names, such as example in www.example.com, and with these there would be more: the server's own name counts, and so do those of other tenants. /.well-known/webauthn shows which there are. It holds 200 origins at most."

// CheckRelated reports identity.ErrInvalid if browsers would read only some of these origins.
func CheckRelated(issuer string, related []string) error {
	_, all, err := readable(issuer, related)
	if err == nil && !all {
		err = identity.Invalid("passkey/related_origins", crowded)
	}
	return err
}

// AdmitRelated is CheckRelated of what a tenant is to list, and all others do. Who lists nothing that is not listed
// already may keep what there is.
func AdmitRelated(tx *fsm.Tx, issuer, tenant string, before, after []string) error {
	others, err := settings.RelatedOrigins(tx, tenant)
	if err != nil {
		return err
	}
	known := slices.Concat(before, others)
	if !slices.ContainsFunc(after, func(o string) bool { return !slices.Contains(known, o) }) {
		return nil
	}
	return CheckRelated(issuer, slices.Concat(others, after))
}

// AdmitEnabled is AdmitRelated of a tenant that is to be enabled again: while it was not, its origins did not count,
// and others may have taken their place. It reports identity.ErrInvalid, field disabled.
func AdmitEnabled(tx *fsm.Tx, issuer, tenant string) error {
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return err
	}
	err = AdmitRelated(tx, issuer, tenant, nil, s.Passkey.RelatedOrigins)
	if errors.Is(err, identity.ErrInvalid) {
		err = identity.Invalid("disabled", "cannot be false now, as the passkey.related_origins of the tenant would count again. "+crowded+" Take some off the list of this tenant or of another one first.")
	}
	return err
}

// maxRelated bounds the document: browsers read it before a passkey is asked for.
const maxRelated = 200

// readable is the document with our own origin and as many others as browsers read, and
// whether these are all.
func readable(issuer string, related []string) (document *protocol.RelatedOrigins, all bool, err error) {
	var read []string
	names := map[string]bool{}
	for _, o := range append([]string{originOf(issuer)}, related...) {
		name, err := protocol.DefaultRelatedOriginLabeler(o)
		if err != nil || len(read) > maxRelated || !names[name] && len(names) == protocol.MaximumRelatedOriginLabels {
			continue
		}
		names[name], read = true, append(read, o)
	}
	if document, err = protocol.NewRelatedOrigins(read...); err != nil {
		return nil, false, fmt.Errorf("related origins: %w", err)
	}
	return document, len(read) == 1+len(related), nil
}
