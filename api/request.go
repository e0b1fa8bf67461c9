package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/quis-idp/quis/identity"
)

const (
	maxRequestID = 128
	maxUserAgent = 512
	maxForwarded = 32 // hops of X-Forwarded-For that are looked at
)

// identify says where r came from. What a trusted proxy reports is believed, and nobody else.
func (d *door) identify(r *http.Request) identity.Request {
	peer := peerAddr(r)
	info := identity.Request{UserAgent: identity.Printable(r.UserAgent(), maxUserAgent)}
	if d.trusted(peer) {
		if id := r.Header.Get("X-Request-Id"); validRequestID(id) {
			info.ID = id
		}
		peer = d.person(peer, r.Header.Values("X-Forwarded-For"))
	}
	if info.ID == "" {
		info.ID = identity.NewID("req")
	}
	if peer.IsValid() {
		info.IP = peer.String()
	}
	return info
}

// person follows X-Forwarded-For from the right, where our own proxies have written, to
// the first address that is not one of them; whatever stands left of it, anybody may
// have written. The Forwarded header (RFC 7239) is not read: a proxy that adds one of
// the two passes the other on as it came.
func (d *door) person(peer netip.Addr, forwarded []string) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxForwarded); i-- {
		addr, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			return peer // the last that is known to be true
		}
		peer = addr
		if !d.trusted(addr) {
			break
		}
	}
	return peer
}

// parseHop reads an address with or without a port, as proxies write them.
func parseHop(s string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

func (d *door) trusted(addr netip.Addr) bool {
	for _, p := range d.cfg.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// peerAddr is the address of the other end of the connection; invalid for a Unix socket.
func peerAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// validRequestID accepts what can stand in a log line, a header and a page.
func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
