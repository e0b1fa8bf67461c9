package wire

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxStrikes   = 10              // wrong tokens of one network at once
	strikeFades  = 6 * time.Second // then one more in this time
	maxStrangely = 4096            // networks that are remembered

	maxVisits  = 16          // connections of one token at once: it may be worthless by now, and whoever knows it a thief
	visitFades = time.Second // then one more in this time
)

// strikes counts the wrong join tokens of each network (IPv4 address, IPv6 /64), so that
// asking costs a stranger more than it costs the cluster.
type strikes struct {
	mu   sync.Mutex
	full map[netip.Prefix]time.Time // when the network's last strike will have faded
	held map[string]time.Time       // the same of the visits of those who know a token
}

func networkOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap(), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // bits fit the address
	return p
}

// allowed says whether another token of this network is looked at.
func (s *strikes) allowed(remote string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full[networkOf(remote)].Sub(now) <= (maxStrikes-1)*strikeFades
}

// note counts a wrong token.
func (s *strikes) note(remote string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full == nil || len(s.full) >= maxStrangely {
		s.forget(now)
	}
	n := networkOf(remote)
	until := s.full[n]
	if until.Before(now) {
		until = now
	}
	s.full[n] = until.Add(strikeFades)
}

// forget drops what has faded, or everything if that does not make room.
func (s *strikes) forget(now time.Time) {
	for n, until := range s.full {
		if until.Before(now) {
			delete(s.full, n)
		}
	}
	if s.full == nil || len(s.full) >= maxStrangely {
		s.full = map[netip.Prefix]time.Time{}
	}
}

// visit says whether somebody who knows the token may have another connection.
func (s *strikes) visit(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, until := range s.held { // as many as there are tokens in the store
		if until.Before(now) {
			delete(s.held, t)
		}
	}
	until, known := s.held[token]
	if !known {
		until = now
	}
	if until.Sub(now) > (maxVisits-1)*visitFades {
		return false
	}
	if s.held == nil {
		s.held = map[string]time.Time{}
	}
	s.held[token] = until.Add(visitFades)
	return true
}
