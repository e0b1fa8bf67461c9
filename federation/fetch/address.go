package fetch

import (
	"fmt"
	"net/netip"
	"slices"
)

// A refusal is a prefix that nobody may make us dial, and why.
type refusal struct {
	prefix netip.Prefix
	why    string
}

// refusals are the ranges of the IANA special-purpose registries (RFC 6890) that are
// not plain public unicast, and one public address that only a cloud's guests see.
var refusals = []refusal{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("192.31.196.0/24"), "reserved"},
	{netip.MustParsePrefix("192.52.193.0/24"), "reserved"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("192.175.48.0/24"), "reserved"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's own"}, // Azure's wire server
	{netip.MustParsePrefix("2001::/23"), "reserved"},             // Teredo, ORCHID, benchmarks
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "reserved"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
}

// known names IPv6 ranges outside global unicast, so that the reason is a good one.
var known = []refusal{
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("fc00::/7"), "unique local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// globalUnicast is all of IPv6 that is handed out to the public.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// special says what is special about an address that strangers must not choose; "" if
// it is plain public unicast.
func special(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "no address"
	case a.Zone() != "":
		return "bound to an interface"
	case a.Is4In6():
		return "IPv4 in IPv6"
	case a.Is6() && !globalUnicast.Contains(a):
		for _, k := range known {
			if k.prefix.Contains(a) {
				return k.why
			}
		}
		return "reserved"
	case a.Is6() && isatap(a):
		return "IPv4 in IPv6"
	}
	for _, r := range refusals {
		if r.prefix.Contains(a) {
			return r.why
		}
	}
	return ""
}

// isatap reports whether the lower half of an address is an IPv4 address for tunnels
// (RFC 5214, section 6.1).
func isatap(a netip.Addr) bool {
	b := a.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// checkAddress is the guard. It is asked with the very address that is about to be
// dialled. What operators opened is open on every port.
func (c *Client) checkAddress(at netip.AddrPort) error {
	a := at.Addr()
	if opened(c.allow, a) || c.loopback && a.Unmap().IsLoopback() {
		return nil
	}
	if why := special(a); why != "" {
		return &Error{Kind: ErrRefused, Detail: "its address is not a public one (" + why + ")"}
	}
	if !slices.Contains(c.ports, at.Port()) {
		return &Error{Kind: ErrRefused, Detail: fmt.Sprintf("port %d is not allowed", at.Port())}
	}
	return nil
}

func opened(allow []netip.Prefix, a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}
