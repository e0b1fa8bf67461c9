package netns

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// A Network is hosts on one switch. Hosts are counted from 1.
type Network struct {
	hosts  []*space
	hub    *space
	prefix string // first three numbers of every address
	link   string // the caller's interface

	mu   sync.Mutex
	lost map[[2]int]int // from, to: per cent of the packets
}

// ErrUnavailable is that this machine or user cannot make networks.
var ErrUnavailable = errors.New("no network namespaces")

// New makes a network of n hosts, all of which reach each other. Its error is
// ErrUnavailable if there cannot be one here: not root, or no ip(8) or nft(8).
func New(n int) (*Network, error) {
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: %w (Debian packages iproute2, nftables)", ErrUnavailable, err)
		}
	}
	w := &Network{lost: map[[2]int]int{}}
	for range n + 1 {
		s, err := newSpace()
		if err != nil {
			w.Close()
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if w.hub == nil {
			w.hub = s
		} else {
			w.hosts = append(w.hosts, s)
		}
	}
	if err := w.wire(); err != nil {
		w.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return w, nil
}

// wire makes the switch and plugs in the caller and every host.
func (w *Network) wire() error {
	if err := w.hub.command("link add hub type bridge\nlink set hub up\n", "ip", "-batch", "-"); err != nil {
		return err
	}
	if err := w.plugCaller(); err != nil {
		return err
	}
	for i, h := range w.hosts {
		port := fmt.Sprintf("host%d", i+1)
		err := w.hub.command(fmt.Sprintf("link add %s type veth peer name net netns %s\nlink set %s master hub up\n", port, h.path, port), "ip", "-batch", "-")
		if err != nil {
			return err
		}
		err = h.command(fmt.Sprintf("link set lo up\naddress add %s/24 dev net\nlink set net up\n", w.Address(i+1)), "ip", "-batch", "-")
		if err != nil {
			return err
		}
	}
	return nil
}

// plugCaller takes a free part of the addresses that are set aside for tests of
// networks (RFC 2544).
func (w *Network) plugCaller() error {
	var last error
	for range 20 {
		w.prefix = fmt.Sprintf("198.%d.%d", 18+rand.IntN(2), rand.IntN(256))
		if taken, err := inUse(w.prefix); taken || err != nil {
			last = errors.Join(err, fmt.Errorf("%s.0/24 is in use", w.prefix))
			continue
		}
		w.link = fmt.Sprintf("quis%d-%d", os.Getpid()%100000, rand.IntN(1000))
		last = command(fmt.Sprintf("link add %s type veth peer name caller netns %s\naddress add %s.254/24 dev %s\nlink set %s up\n",
			w.link, w.hub.path, w.prefix, w.link, w.link), "ip", "-batch", "-")
		if last == nil {
			return w.hub.command("", "ip", "link", "set", "caller", "master", "hub", "up")
		}
	}
	return last
}

func inUse(prefix string) (bool, error) {
	addresses, err := net.InterfaceAddrs()
	for _, a := range addresses {
		if strings.HasPrefix(a.String(), prefix+".") {
			return true, nil
		}
	}
	return false, err
}

// Hosts is how many there are.
func (w *Network) Hosts() int { return len(w.hosts) }

// Address is the IPv4 address of a host.
func (w *Network) Address(host int) string { return fmt.Sprintf("%s.%d", w.prefix, host) }

// On calls f on a host: processes that it starts and sockets that it opens are
// there. Calls for one host wait for each other.
func (w *Network) On(host int, f func() error) error { return w.hosts[host-1].run(f) }

// Lose drops percent of the packets that go from one host to another; 0 heals that
// direction, 100 cuts it.
func (w *Network) Lose(from, to, percent int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost[[2]int{from, to}] = percent
	return w.filter(to)
}

// Cut separates two hosts in both directions.
func (w *Network) Cut(a, b int) error { return errors.Join(w.Lose(a, b, 100), w.Lose(b, a, 100)) }

// Isolate separates a host from all the others.
func (w *Network) Isolate(host int) error {
	var errs []error
	for other := 1; other <= len(w.hosts); other++ {
		if other != host {
			errs = append(errs, w.Cut(host, other))
		}
	}
	return errors.Join(errs...)
}

// Heal removes every fault.
func (w *Network) Heal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.lost)
	var errs []error
	for i := range w.hosts {
		errs = append(errs, w.filter(i+1))
	}
	return errors.Join(errs...)
}

// filter replaces the rules of a host by those that lost wants, at one stroke.
func (w *Network) filter(host int) error {
	var rules strings.Builder
	rules.WriteString("flush ruleset\ntable ip faults {\n chain in {\n  type filter hook input priority 0; policy accept;\n")
	for from := range len(w.hosts) {
		switch percent := w.lost[[2]int{from + 1, host}]; {
		case percent >= 100:
			fmt.Fprintf(&rules, "  ip saddr %s drop\n", w.Address(from+1))
		case percent > 0:
			fmt.Fprintf(&rules, "  ip saddr %s numgen random mod 100 < %d drop\n", w.Address(from+1), percent)
		}
	}
	rules.WriteString(" }\n}\n")
	return w.hosts[host-1].command(rules.String(), "nft", "-f", "-")
}

// Close ends the network, once or more often. Processes that still run on a host keep its namespace,
// without a way out.
func (w *Network) Close() {
	if w.link != "" {
		command("", "ip", "link", "delete", w.link) // it also ends with the hub
	}
	for _, s := range append(w.hosts, w.hub) {
		if s != nil {
			s.close()
		}
	}
	w.hosts, w.hub, w.link = nil, nil, ""
}
