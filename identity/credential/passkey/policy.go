package passkey

import (
	"encoding/hex"
	"fmt"
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

// CheckRelated reports identity.ErrInvalid if browsers would read only some of these origins.
func CheckRelated(issuer string, related []string) error {
	_, all, err := readable(issuer, related)
	if err == nil && !all {
		err = identity.Invalid("passkey/related_origins", "Browsers read origins of at most five different names, such as example in www.example.com, and with these there would be more: the server's own name counts, and so do those of other tenants. /.well-known/webauthn shows which there are. It holds 200 origins at most.")
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
