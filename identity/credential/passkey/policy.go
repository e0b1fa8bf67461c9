package passkey

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"github.com/quis-idp/quis/identity"
)

// Bounds of a policy.
const (
	maxOrigins = 10
	maxAAGUIDs = 200
)

// A Policy is what a tenant decides about passkeys. The zero value is the usual one:
// discoverable passkeys of any make, user verification where the authenticator has it, no
// attestation asked for. It is data, fit to be part of a stored row.
type Policy struct {
	UserVerification string   `cbor:"1,keyasint,omitempty" json:"user_verification,omitempty"` // preferred (also empty) or required
	ResidentKey      string   `cbor:"2,keyasint,omitempty" json:"resident_key,omitempty"`      // required (also empty) or preferred: security keys without storage may serve as second factors
	Attestation      string   `cbor:"3,keyasint,omitempty" json:"attestation,omitempty"`       // none (also empty), indirect or direct
	RequireAttested  bool     `cbor:"4,keyasint,omitempty" json:"require_attested,omitempty"`  // only what is verified against imported metadata
	AllowAAGUIDs     []string `cbor:"5,keyasint,omitempty" json:"allow_aaguids,omitempty"`     // none: all; an authenticator that does not say what it is is not in it
	DenyAAGUIDs      []string `cbor:"6,keyasint,omitempty" json:"deny_aaguids,omitempty"`
	ForbidSynced     bool     `cbor:"7,keyasint,omitempty" json:"forbid_synced,omitempty"` // only passkeys that cannot leave their device
	Origins          []string `cbor:"8,keyasint,omitempty" json:"origins,omitempty"`       // further origins that may use this house's passkeys (WebAuthn L3 §5.11)
}

// Check reports identity.ErrInvalid, by the field's name in JSON, for a policy that makes no sense.
func (p Policy) Check() error {
	var errs []error
	invalid := func(field, detail string) { errs = append(errs, identity.Invalid(field, detail)) }
	if !slices.Contains([]string{"", "preferred", "required"}, p.UserVerification) {
		invalid("user_verification", "must be preferred or required")
	}
	if !slices.Contains([]string{"", "preferred", "required"}, p.ResidentKey) {
		invalid("resident_key", "must be required or preferred")
	}
	if !slices.Contains([]string{"", "none", "indirect", "direct"}, p.Attestation) {
		invalid("attestation", "must be none, indirect or direct")
	}
	if p.RequireAttested && (p.Attestation == "" || p.Attestation == "none") {
		invalid("attestation", "must be direct or indirect if only attested passkeys are accepted")
	}
	for field, list := range map[string][]string{"allow_aaguids": p.AllowAAGUIDs, "deny_aaguids": p.DenyAAGUIDs} {
		if len(list) > maxAAGUIDs {
			invalid(field, fmt.Sprintf("may list at most %d models", maxAAGUIDs))
		}
		for _, s := range list {
			if _, err := uuid.Parse(s); err != nil || len(s) != 36 {
				invalid(field, fmt.Sprintf("%q is not an AAGUID like cb69481e-8ff7-4039-93ec-0a2729a154a8", identity.Printable(s, 60)))
			}
		}
	}
	return errors.Join(append(errs, p.checkOrigins())...)
}

func (p Policy) checkOrigins() error {
	if len(p.Origins) > maxOrigins {
		return identity.Invalid("origins", fmt.Sprintf("may list at most %d origins", maxOrigins))
	}
	for _, o := range p.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" || u.Host == "" || o != "https://"+u.Host || len(o) > 200 {
			return identity.Invalid("origins", fmt.Sprintf("%q is not an origin like https://login.example.com", identity.Printable(o, 60)))
		}
	}
	if len(p.Origins) == 0 {
		return nil
	}
	if _, err := protocol.NewRelatedOrigins(p.Origins...); err != nil {
		return identity.Invalid("origins", "Browsers accept origins of at most five different names.")
	}
	return nil
}

// RPID is the relying party ID of an issuer: its host name. It reports identity.ErrInvalid,
// with what to do, for an address at which browsers do not offer passkeys.
func RPID(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Hostname() == "" {
		return "", identity.Invalid("public_url", "Passkeys need a public address with a host name, and this server has none. Set public_url.")
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case net.ParseIP(host) != nil:
		return "", identity.Invalid("public_url", "Passkeys are bound to a host name, and this server is reached by the bare address "+host+". Set public_url to a name; on one machine, http://localhost works.")
	case u.Scheme != "https" && host != "localhost" && !strings.HasSuffix(host, ".localhost"):
		return "", identity.Invalid("public_url", "Browsers offer passkeys only over https. Set public_url to an https address; on one machine, http://localhost works.")
	}
	if err := protocol.ValidateRPID(host); err != nil {
		return "", identity.Invalid("public_url", "Passkeys are bound to a host name, and "+identity.Printable(host, 80)+" is none that browsers accept.")
	}
	return host, nil
}

// originOf is the origin that the pages of an issuer have.
func originOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// RelatedOrigins is the document at /.well-known/webauthn (WebAuthn L3 §5.11.1): which
// origins may use this house's passkeys. It reports fsm.ErrNotFound if there are none but our own.
func RelatedOrigins(issuer string, p Policy) ([]byte, error) {
	if len(p.Origins) == 0 {
		return nil, identity.NotFound("No other origin may use the passkeys of this one.")
	}
	related, err := protocol.NewRelatedOrigins(slices.Concat([]string{originOf(issuer)}, p.Origins)...)
	if err != nil {
		return nil, fmt.Errorf("related origins: %w", err)
	}
	return related.Bytes()
}

// zeroAAGUID is what an authenticator says that does not tell its model.
const zeroAAGUID = "00000000-0000-0000-0000-000000000000"

// admits reports in a person's words why the policy does not accept a passkey.
func (p Policy) admits(k *Passkey) error {
	switch {
	case p.ForbidSynced && k.Synced:
		return identity.Invalid("response", "This passkey can be copied to your other devices, and your organization accepts only passkeys that stay on one. Use a security key, or the one built into this device.")
	case slices.ContainsFunc(p.DenyAAGUIDs, func(s string) bool { return strings.EqualFold(s, k.Model()) }):
		return identity.Invalid("response", "Your organization does not accept this kind of passkey. Use another one.")
	case len(p.AllowAAGUIDs) > 0 && !slices.ContainsFunc(p.AllowAAGUIDs, func(s string) bool { return strings.EqualFold(s, k.Model()) }):
		return identity.Invalid("response", "Your organization accepts only certain kinds of passkeys, and this is none of them. Use one that you were given.")
	case p.RequireAttested && !k.Attested:
		return identity.Invalid("response", "Your organization accepts only passkeys whose maker vouches for them, and this one could not be confirmed. Use a security key that you were given.")
	}
	return nil
}

// formatAAGUID spells an AAGUID as everybody does; anything but 16 bytes is the zero one.
func formatAAGUID(b []byte) string {
	if len(b) != 16 {
		return zeroAAGUID
	}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
