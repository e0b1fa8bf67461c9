package form

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultPort is that of an entry which names none.
const DefaultPort = "8300"

const (
	maxPeers    = 64 // addresses that one look at the names may give
	lookupLimit = 2 * time.Second
)

// A Resolver looks names up; the zero value asks the system. Tests bring their own.
type Resolver struct {
	Hosts    func(ctx context.Context, name string) ([]netip.Addr, error)
	Services func(ctx context.Context, name string) ([]*net.SRV, error)
}

// CheckPeer reports what is wrong with an entry of cluster.join. An entry is host:port or a
// host alone (an address or a DNS name, each of whose addresses is a peer), or the name of
// an SRV record: _quis._tcp.example.com, or any name behind "srv:".
func CheckPeer(entry string) error {
	if service(entry) != "" {
		return nil
	}
	host, port, err := hostPort(entry)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, "/ \t") || perr != nil || n == 0 {
		return fmt.Errorf("%q is not an address such as node-2.example.com:8300, nor an SRV record such as _quis._tcp.example.com", entry)
	}
	return nil
}

// service returns the SRV name that an entry stands for, or nothing.
func service(entry string) string {
	if name, ok := strings.CutPrefix(entry, "srv:"); ok && !strings.ContainsAny(name, ":/ \t") {
		return name
	}
	if strings.HasPrefix(entry, "_") && strings.Contains(entry, "._tcp.") && !strings.ContainsAny(entry, ":/ \t") {
		return entry
	}
	return ""
}

func hostPort(entry string) (host, port string, err error) {
	if ip := net.ParseIP(entry); ip != nil || !strings.Contains(entry, ":") {
		return entry, DefaultPort, nil
	}
	return net.SplitHostPort(entry)
}

// expand returns the addresses that the entries of cluster.join stand for at this moment,
// each once, and what was wrong with those that stand for none.
func (r Resolver) expand(ctx context.Context, entries []string) (addresses []string, faults []error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	for _, e := range entries {
		found, err := r.one(ctx, e)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", e, unwrapDNS(err)))
		}
		for _, a := range found {
			if !slices.Contains(addresses, a) && len(addresses) < maxPeers {
				addresses = append(addresses, a)
			}
		}
	}
	return addresses, faults
}

func (r Resolver) one(ctx context.Context, entry string) ([]string, error) {
	if name := service(entry); name != "" {
		return r.records(ctx, name)
	}
	host, port, err := hostPort(entry)
	if err != nil {
		return nil, err
	}
	return r.host(ctx, host, port)
}

func (r Resolver) records(ctx context.Context, name string) ([]string, error) {
	look := r.Services
	if look == nil {
		look = func(ctx context.Context, name string) ([]*net.SRV, error) {
			_, found, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
			return found, err
		}
	}
	found, err := look(ctx, name)
	if err != nil {
		return nil, err
	}
	var out []string
	var faults []error
	for _, s := range found {
		more, err := r.host(ctx, strings.TrimSuffix(s.Target, "."), strconv.Itoa(int(s.Port)))
		out, faults = append(out, more...), append(faults, err)
	}
	if len(out) == 0 {
		return nil, errors.Join(append(faults, errors.New("the SRV record names nobody"))...)
	}
	return out, nil
}

// host returns a name with one address as it is: errors and logs then show it.
func (r Resolver) host(ctx context.Context, host, port string) ([]string, error) {
	whole := net.JoinHostPort(host, port)
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{whole}, nil
	}
	look := r.Hosts
	if look == nil {
		look = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	found, err := look(ctx, host)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 1 && r.Hosts == nil:
		return []string{whole}, nil
	}
	var out []string
	for _, a := range found {
		out = append(out, net.JoinHostPort(a.Unmap().String(), port))
	}
	return out, nil
}

// unwrapDNS drops the names that the resolver repeats: the entry stands there already.
func unwrapDNS(err error) error {
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New(d.Err)
	}
	return err
}
