package wire

import (
	"context"
	"net"
	"testing"
	"time"
)

// A stranger with as many silent connections as it likes does not keep members out.
func TestSilentStrangerKeepsNoMemberOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	a := s.port("a", func(c *Config) { c.Handshake = time.Minute })
	b := s.port("b", func(c *Config) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		}
	})
	for range 2 * maxStrangers {
		c, err := net.Dial("tcp", a.Advertise())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var got string
	if err := b.Caller().Call(t.Context(), "a", a.Advertise(), "echo", "x", &got); err != nil || got != "b:x" {
		t.Errorf("a member's call: %q, %v", got, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.near[networkOf("127.0.0.1:1")]; n > maxNear {
		t.Errorf("%d strangers of one network", n)
	}
}
