package fetch

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxURL = 2000 // bytes

// CheckURL says why no node could ever fetch from raw: it is malformed, neither https
// nor http to a loopback host, or writes an address in a form that programs read
// differently. The error is an *Error of kind ErrRefused.
func CheckURL(raw string) error {
	u, err := parse(raw)
	if err == nil && u.Scheme == "http" && !local(u.Hostname()) {
		return refused("must be https")
	}
	return err
}

// Check is CheckURL with what this client in particular would refuse without asking
// anybody: http unless in development, literal addresses that are not public, ports.
// A name passes; what it resolves to is checked when it is dialled.
func (c *Client) Check(raw string) error {
	u, err := parse(raw)
	if err != nil {
		return err
	}
	if u.Scheme == "http" && !c.plain && !(c.loopback && local(u.Hostname())) {
		return refused("must be https")
	}
	if local(u.Hostname()) && !c.loopback && len(c.allow) == 0 {
		return refused("its address is not a public one (loopback)")
	}
	port := portOf(u)
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return c.checkAddress(netip.AddrPortFrom(a, port))
	}
	if !slices.Contains(c.ports, port) && !c.loopback && len(c.allow) == 0 {
		return refused("port " + strconv.Itoa(int(port)) + " is not allowed")
	}
	return nil
}

func refused(why string) error { return &Error{Kind: ErrRefused, Detail: why} }

func parse(raw string) (*url.URL, error) {
	if raw == "" || len(raw) > maxURL {
		return nil, refused("a URL must have 1 to 2000 bytes")
	}
	for i := range len(raw) {
		if raw[i] <= 0x20 || raw[i] >= 0x7f || raw[i] == '\\' {
			return nil, refused("the URL holds a character that must be percent-encoded")
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "":
		return nil, refused("is not an absolute URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, refused("must be https")
	case u.User != nil:
		return nil, refused("the URL must not have a user part before the host")
	case strings.Contains(raw, "#"):
		return nil, refused("the URL must not have a fragment")
	}
	if p := u.Port(); strings.HasSuffix(u.Host, ":") || p != "" && portOf(u) == 0 {
		return nil, refused("the port is not a number from 1 to 65535")
	}
	return u, checkHost(u.Hostname())
}

// checkHost refuses names that one program takes for an address and another for a name:
// 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to some.
func checkHost(host string) error {
	if host == "" || len(host) > 253 {
		return refused("the URL has no host")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return refused("the host is not a name")
		}
		for _, ch := range []byte(l) {
			if !('a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9' || ch == '-' || ch == '_') {
				return refused("the host is not a name; write it in its ASCII form (xn--…)")
			}
		}
	}
	if last := strings.ToLower(labels[len(labels)-1]); last[0] >= '0' && last[0] <= '9' {
		return refused("the host is a number, but not an address; write addresses as 192.0.2.1 or [2001:db8::1]")
	}
	return nil
}

// local reports whether a host is this very machine by its name alone.
func local(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// portOf returns the port that u means, 0 if that is none.
func portOf(u *url.URL) uint16 {
	if u.Port() == "" {
		if u.Scheme == "http" {
			return 80
		}
		return 443
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
