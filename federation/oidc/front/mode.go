package front

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A Mode is the way of an authorization response to the application (OAuth 2.0 Multiple
// Response Type Encoding Practices, section 2.1; Form Post Response Mode; JARM, section 2.3).
type Mode string

// The response modes.
const (
	Query       Mode = "query"
	Fragment    Mode = "fragment"
	FormPost    Mode = "form_post"
	QueryJWT    Mode = "query.jwt"
	FragmentJWT Mode = "fragment.jwt"
	FormPostJWT Mode = "form_post.jwt"
)

// jwtMode is JARM's short name for the default mode of the response type, signed.
const jwtMode = "jwt"

// Modes lists what may be asked for, for discovery.
var Modes = []string{string(Query), string(Fragment), string(FormPost), string(QueryJWT), string(FragmentJWT), string(FormPostJWT), jwtMode}

// ParseMode reads a response_mode for response_type=code. The empty one is Query.
func ParseMode(text string) (m Mode, ok bool) {
	switch text {
	case "":
		return Query, true
	case jwtMode:
		return QueryJWT, true
	}
	return Mode(text), slices.Contains(Modes, text)
}

// Signed reports whether the response is one JWT (JARM).
func (m Mode) Signed() bool { return strings.HasSuffix(string(m), ".jwt") }

// Posts reports whether the response is a form that the browser posts.
func (m Mode) Posts() bool { return m == FormPost || m == FormPostJWT }

// Location is the redirect URI with params where the mode puts them. It is not for modes that post.
func (m Mode) Location(redirectURI string, params url.Values) string {
	if m == Fragment || m == FragmentJWT {
		return redirectURI + "#" + params.Encode()
	}
	switch {
	case !strings.Contains(redirectURI, "?"):
		return redirectURI + "?" + params.Encode()
	case strings.HasSuffix(redirectURI, "?"), strings.HasSuffix(redirectURI, "&"):
		return redirectURI + params.Encode()
	}
	return redirectURI + "&" + params.Encode()
}

// ofAnswers are the parameters of authorization responses.
var ofAnswers = []string{"code", "state", "iss", "response", "error", "error_description", "error_uri", "session_state", "id_token", "access_token"}

// HoldsAnswer reports whether the query of a redirect URI has a parameter of an answer already,
// in the eyes of any server: some part pairs at a semicolon, or take name[] for name.
func HoldsAnswer(rawQuery string) bool {
	for _, pair := range strings.FieldsFunc(rawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		name, _, _ = strings.Cut(name, "[")
		if slices.Contains(ofAnswers, strings.ToLower(strings.TrimSpace(name))) {
			return true
		}
	}
	return false
}

// PostSource is the source expression by which a content security policy lets a form post
// to uri (CSP 3, section 2.3.1), and nowhere else. ok is false for what a form cannot be
// posted to, and for a host that could end the directive and begin another.
func PostSource(uri string) (source string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Host == "" {
		return "", false
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Is6() && a.Zone() == "" {
		return u.Scheme + ":", true // the grammar has no IPv6 addresses: there, any host of the scheme
	}
	for _, c := range []byte(u.Host) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._:", c) >= 0) {
			return "", false
		}
	}
	return u.Scheme + "://" + u.Host, true
}
