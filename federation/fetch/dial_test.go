package fetch

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// TestDialIsGuarded: another protocol gets further ports, and no address besides.
func TestDialIsGuarded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	conn, err := open.Dial(25)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	closed := New(Config{})
	for _, address := range []string{l.Addr().String(), "10.0.0.1:25", "169.254.169.254:25", "[::1]:25", "203.0.113.9:25"} {
		if _, err := closed.Dial(25)(t.Context(), "tcp", address); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := closed.Dial(25)(t.Context(), "tcp", "8.8.8.8:26"); !errors.Is(err, ErrRefused) {
		t.Errorf("another port: %v", err)
	}
	if err := closed.checkAddress(netip.MustParseAddrPort("8.8.8.8:25")); !errors.Is(err, ErrRefused) {
		t.Errorf("the port is open to requests as well: %v", err)
	}
}
