package federation

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/quis-idp/quis/identity"
)

const maxURI = 2000 // bytes

// forbidden schemes run code or read files in the browser that follows them.
var forbiddenSchemes = []string{"javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem", "ftp", "ws", "wss"}

// checkRedirectURI says why a redirect URI cannot be registered: allowed are
// https, http to this very machine, and private-use schemes with a dot for
// public applications (RFC 8252, section 7).
func checkRedirectURI(field, raw string, public bool) error {
	bad := func(why string) error { return identity.Invalid(field, "\""+identity.Printable(raw, 120)+"\": "+why) }
	if raw == "" || len(raw) > maxURI {
		return bad("must have 1 to 2000 bytes")
	}
	for i := range len(raw) {
		if raw[i] <= 0x20 || raw[i] >= 0x7f || raw[i] == '\\' {
			return bad("holds a character that must be percent-encoded")
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return bad("is not an absolute URI" + schemeMissing(raw))
	}
	if strings.Contains(raw, "#") {
		return bad("must not have a fragment")
	}
	if u.User != nil {
		return bad("must not have a user part before the host")
	}
	if strings.Contains(u.Host, "*") {
		return bad("wildcards are not supported; register each URI, or as an administrator a pattern that begins with regex:")
	}
	switch {
	case slices.Contains(forbiddenSchemes, u.Scheme):
		return bad("scheme " + u.Scheme + " is not allowed")
	case u.Scheme == "https" && u.Host == "", u.Scheme == "http" && u.Host == "":
		return bad("has no host")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return bad("http is allowed for localhost and loopback addresses only; use https")
	case u.Opaque != "" && u.Opaque[0] >= '0' && u.Opaque[0] <= '9' && (!public || !strings.Contains(u.Scheme, ".")): // host:port
		return bad("is not an absolute URI" + schemeMissing(raw))
	case !strings.Contains(u.Scheme, "."):
		return bad("a private-use scheme must contain a dot, like com.example.app")
	case !public:
		return bad("private-use schemes are for public applications only")
	}
	return nil
}

// schemeMissing says which scheme a URI lacks that begins with a host.
func schemeMissing(raw string) string {
	host := raw
	if i := strings.IndexAny(raw, ":/"); i >= 0 {
		host = raw[:i]
	}
	switch {
	case isLoopback(host):
		return ": http:// is missing at its beginning"
	case strings.Contains(host, "."):
		return ": https:// is missing at its beginning"
	}
	return ""
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// MatchRedirectURI reports whether uri is registered: equal byte for byte; or matched as
// a whole by a registered pattern; or, for a public application, equal but for the port where the
// registered one is http to a loopback address (RFC 8252, section 7.3) or to localhost
// without a port.
func (a *Application) MatchRedirectURI(uri string) bool {
	return matchURI(a.RedirectURIs, uri, a.IsPublic)
}

// MatchPostLogoutURI is MatchRedirectURI for where a person goes after signing out.
func (a *Application) MatchPostLogoutURI(uri string) bool {
	return matchURI(a.PostLogoutURIs, uri, a.IsPublic)
}

func matchURI(registered []string, uri string, public bool) bool {
	if uri == "" || len(uri) > maxURI {
		return false
	}
	if IsPattern(uri) {
		return false // the text of a pattern is no URI, though it is registered
	}
	if slices.Contains(registered, uri) {
		return true
	}
	hasPattern := slices.ContainsFunc(registered, IsPattern)
	if !public && !hasPattern || checkRedirectURI("", uri, public) != nil {
		return false
	}
	if hasPattern && slices.ContainsFunc(registered, func(r string) bool { return IsPattern(r) && matchPattern(r, uri) }) {
		return true
	}
	if !public {
		return false
	}
	given, ok := withoutPort(uri)
	if !ok {
		return false
	}
	for _, r := range registered {
		u, err := url.Parse(r)
		if err != nil || IsPattern(r) || (u.Hostname() == "localhost" && u.Port() != "") {
			continue
		}
		if bare, ok := withoutPort(r); ok && bare == given {
			return true
		}
	}
	return false
}

// withoutPort returns an http loopback URI with its port cut out; ok is false for any other URI.
func withoutPort(raw string) (bare string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || !isLoopback(u.Hostname()) || !strings.HasPrefix(raw, "http://"+u.Host) {
		return "", false
	}
	host := strings.TrimSuffix(u.Host, ":"+u.Port())
	return "http://" + host + raw[len("http://"+u.Host):], true
}
