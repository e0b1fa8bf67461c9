package passkey

import (
	"encoding/hex"
	"net"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

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

// zeroAAGUID is what an authenticator says that does not tell its model.
const zeroAAGUID = "00000000-0000-0000-0000-000000000000"

// admits reports in a person's words why a tenant does not accept a passkey. Where only some models are
// allowed, one that metadata describe has to be vouched for: what a passkey says of itself is no proof.
func admits(p settings.Passkey, k *Passkey, described bool) error {
	switch {
	case p.ForbidSynced && k.Synced:
		return identity.Invalid("response", "This passkey can be copied to your other devices, and your organization accepts only passkeys that stay on one. Use a security key, or the one built into this device.")
	case denies(p, k):
		return identity.Invalid("response", "Your organization does not accept this kind of passkey. Use another one.")
	case !allows(p, k):
		return identity.Invalid("response", "Your organization accepts only certain kinds of passkeys, and this is none of them. Use one that you were given.")
	case (p.RequireAttested || described && len(p.Allow) > 0) && !k.Attested:
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
