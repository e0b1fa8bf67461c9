package dev

import (
	"net"
	"strings"
	"testing"
)

// A program at ::1 alone would be reached by browsers that are sent to localhost: it is in the
// way as much as one at 127.0.0.1.
func TestListenNoticesTheOtherLocalhost(t *testing.T) {
	t.Parallel()
	foreign, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("nothing to see where there is no ::1: %v", err)
		return
	}
	t.Cleanup(func() { foreign.Close() })
	six := foreign.Addr().String()
	o := Options{Dir: t.TempDir(), Nodes: 1, Port: foreign.Addr().(*net.TCPAddr).Port}
	h := &house{Options: o, nodes: []*process{{place: o.placeOf(1)}}}
	if l, err := h.listen(t.Context()); err == nil || !strings.Contains(err.Error(), six) || !strings.Contains(err.Error(), "--port") {
		closeAll(l)
		t.Errorf("%s is taken, but: %v", six, err)
	}
	foreign.Close()
	// Another test may be at one of the other ports.
	l, err := h.listen(t.Context())
	if err != nil && strings.Contains(err.Error(), six) {
		t.Error(err)
	}
	closeAll(l)
}
