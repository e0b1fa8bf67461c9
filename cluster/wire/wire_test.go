package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A site is a cluster authority that gives tests their ports.
type site struct {
	t         *testing.T
	authority *Authority
	key       [32]byte
	rpc       *Mux
}

func newSite(t *testing.T, cluster string) *site {
	t.Helper()
	a, err := NewAuthority(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, authority: a, key: [32]byte{1}, rpc: &Mux{}}
	Handle(s.rpc, "echo", func(_ context.Context, from Peer, q *string) (any, error) { return from.NodeID + ":" + *q, nil })
	Handle(s.rpc, "fault", func(context.Context, Peer, *string) (any, error) { return nil, &Fault{Code: 7, Detail: "no"} })
	Handle(s.rpc, "wait", func(ctx context.Context, _ Peer, _ *string) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
	return s
}

func (s *site) identity(node string, at time.Time) Identity {
	s.t.Helper()
	key, request, err := NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := s.authority.Issue(request, node, at, CertLife)
	if err != nil {
		s.t.Fatal(err)
	}
	return Identity{
		ClusterID: s.authority.ClusterID(), NodeID: node, Authority: s.authority.Cert,
		Cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}
}

func (s *site) port(node string, change ...func(*Config)) *Port {
	s.t.Helper()
	creds := &Credentials{}
	if node != "" {
		creds.Set(s.identity(node, time.Now()))
	}
	cfg := Config{Listen: "127.0.0.1:0", Credentials: creds, RPC: s.rpc, Join: &Mux{}, JoinKeys: []JoinKey{{"root-a", s.key}}, Logger: slog.New(slog.DiscardHandler)}
	Handle(cfg.Join, "hello", func(_ context.Context, _ Peer, q *string) (any, error) { return "hello " + *q, nil })
	for _, f := range change {
		f(&cfg)
	}
	p, err := Listen(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	p.Serve()
	s.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return p
}

func TestCalls(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	a, b := s.port("a"), s.port("b")
	var got string
	if err := a.Caller().Call(t.Context(), "b", b.Advertise(), "echo", "x", &got); err != nil || got != "a:x" {
		t.Errorf("echo: %q, %v", got, err)
	}
	var fault *Fault
	if err := a.Caller().Call(t.Context(), "b", b.Advertise(), "fault", "x", nil); !errors.As(err, &fault) || fault.Code != 7 || fault.Detail != "no" {
		t.Errorf("fault: %v", err)
	}
	if err := a.Caller().Call(t.Context(), "b", b.Advertise(), "no such", "x", nil); !errors.As(err, &fault) {
		t.Errorf("unknown method: %v", err)
	}
	if err := a.Caller().Call(t.Context(), "b", b.Advertise(), "echo", 12, nil); !errors.As(err, &fault) {
		t.Errorf("argument of another type: %v", err)
	}
	if err := a.Caller().Call(t.Context(), "b", b.Advertise(), "echo", strings.Repeat("x", MaxFrame), nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("too large: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.Caller().Call(ctx, "b", b.Advertise(), "wait", "x", nil); !errors.Is(err, ErrLost) && !errors.As(err, &fault) {
		t.Errorf("deadline: %v", err)
	}
	if err := a.Caller().Call(t.Context(), "c", b.Advertise(), "echo", "x", nil); !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), "in the place of") {
		t.Errorf("another node than expected: %v", err)
	}
	addr := b.Advertise()
	b.Close()
	if err := a.Caller().Call(t.Context(), "b", addr, "echo", "x", &got); err == nil {
		t.Error("call to a closed port")
	}
}

func TestManyCallsShareAConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	a, b := s.port("a"), s.port("b")
	done := make(chan error, 500)
	for range cap(done) {
		go func() {
			var got string
			err := a.Caller().Call(t.Context(), "b", b.Advertise(), "echo", "x", &got)
			if err == nil && got != "a:x" {
				err = errors.New(got)
			}
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) != 1 {
		t.Errorf("%d connections", len(b.open))
	}
}

func TestOnlyNodesOfTheClusterGetIn(t *testing.T) {
	t.Parallel()
	s, foreign := newSite(t, "c1"), newSite(t, "c2")
	renamed := newSite(t, "c1") // an authority that claims the same cluster
	b := s.port("b")
	expired := s.port("a")
	expired.cfg.Credentials.Set(s.identity("a", time.Now().Add(-2*CertLife)))
	for name, p := range map[string]*Port{"foreign": foreign.port("a"), "same name, other authority": renamed.port("a"), "expired": expired, "none": s.port("")} {
		for _, proto := range []string{protoRPC, protoRaft} {
			c, err := p.dial(t.Context(), b.Advertise(), "", proto)
			if err != nil {
				continue
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %s let in (%v)", name, proto, err)
			}
			c.Close()
		}
		// Without looking at the server, as an attacker would.
		h := p.cfg.Credentials.current.Load()
		var certs []tls.Certificate
		if h != nil {
			certs = append(certs, h.Cert)
		}
		for _, proto := range []string{protoRPC, protoRaft} {
			c, err := tls.Dial("tcp", b.Advertise(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}, Certificates: certs})
			if err != nil {
				continue
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			frame, _ := appendFrame(nil, &message{ID: 1, Method: "echo", Body: []byte{0x61, 'x'}})
			c.Write(frame) // refused by now, perhaps
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %s let in (%v)", name, proto, err)
			}
			c.Close()
		}
	}
	for _, cfg := range []*tls.Config{
		{MaxVersion: tls.VersionTLS12, NextProtos: []string{protoJoin}},
		{NextProtos: []string{protoJoin, protoRPC}},
		{NextProtos: []string{"h2"}},
		{},
	} {
		cfg.InsecureSkipVerify = true
		if c, err := tls.Dial("tcp", b.Advertise(), cfg); err == nil {
			c.Close()
			t.Errorf("handshake with %v, up to version %x", cfg.NextProtos, cfg.MaxVersion)
		}
	}
}

func TestJoinProvesTheRootKeyBothWays(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	a, b := s.port(""), s.port("b")
	other := s.port("", func(c *Config) { c.JoinKeys = []JoinKey{{"root-b", [32]byte{2}}} })
	c, err := a.DialJoin(t.Context(), b.Advertise())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got string
	if err := c.Call(t.Context(), "hello", "a", &got); err != nil || got != "hello a" {
		t.Errorf("%q, %v", got, err)
	}
	_, err = other.DialJoin(t.Context(), b.Advertise())
	if !errors.Is(err, ErrRootKey) || !strings.Contains(err.Error(), "root-a") || !strings.Contains(err.Error(), "root-b") {
		t.Errorf("client with another key: %v", err)
	}
	if _, err = a.DialJoin(t.Context(), other.Advertise()); !errors.Is(err, ErrRootKey) {
		t.Errorf("server with another key: %v", err)
	}
}

// A man in the middle ends both TLS connections and passes the proofs on.
func TestJoinProofCannotBeRelayed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	a, b := s.port(""), s.port("b")
	cert, err := temporaryCert()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{protoJoin}, Certificates: []tls.Certificate{*cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		up, err := tls.Dial("tcp", b.Advertise(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoJoin}})
		if err != nil {
			return
		}
		defer up.Close()
		go io.Copy(up, c)
		io.Copy(c, up)
	}()
	if _, err := a.DialJoin(t.Context(), l.Addr().String()); !errors.Is(err, ErrRootKey) {
		t.Errorf("relayed proof: %v", err)
	}
}

func TestSilentStrangersAreSentAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	b := s.port("b", func(c *Config) { c.Handshake = 100 * time.Millisecond })
	var conns []net.Conn
	for range maxStrangers + 1 {
		c, err := net.Dial("tcp", b.Advertise())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	closed := make(chan bool, len(conns))
	for _, c := range conns {
		go func() {
			c.SetReadDeadline(time.Now().Add(4 * time.Second))
			_, err := c.Read(make([]byte, 1))
			var timeout net.Error
			closed <- !(errors.As(err, &timeout) && timeout.Timeout())
		}()
	}
	for range conns {
		if !<-closed {
			t.Error("a silent connection was kept")
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	b := s.port("b")
	_, err := Listen(Config{Listen: b.Advertise(), Credentials: &Credentials{}})
	if err == nil || !strings.Contains(err.Error(), b.Advertise()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
}

func TestIssueTrustsNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	_, request, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "A", "a/b", "../a", strings.Repeat("a", 64), "-a"} {
		if _, err := s.authority.Issue(request, bad, time.Now(), CertLife); err == nil {
			t.Errorf("issued for node %q", bad)
		}
	}
	spoiled := bytes.Clone(request)
	spoiled[len(spoiled)-1] ^= 1
	if _, err := s.authority.Issue(spoiled, "a", time.Now(), CertLife); err == nil {
		t.Error("issued for a request with a bad signature")
	}
}

func TestFrameCutShort(t *testing.T) {
	t.Parallel()
	whole, err := appendFrame(nil, &message{ID: 3, Method: "m", Body: []byte{0xa0}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := readFrame(iotest.OneByteReader(bytes.NewReader(whole)), MaxFrame); err != nil || m.ID != 3 || m.Method != "m" {
		t.Errorf("%+v, %v", m, err)
	}
	for n := range whole {
		if _, err := readFrame(bytes.NewReader(whole[:n]), MaxFrame); err == nil {
			t.Errorf("%d of %d bytes made a frame", n, len(whole))
		}
	}
	if _, err := readFrame(bytes.NewReader(whole), len(whole)-5); !errors.Is(err, ErrFrame) {
		t.Errorf("over the limit: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, m := range []*message{{ID: 1, Method: "propose", Body: []byte{0xa1, 1, 0x81, 0x41, 0}}, {ID: 1, Code: 2, Detail: "no"}} {
		b, err := appendFrame(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0x1f, 0xff, 0xff, 0x9b})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readFrame(bytes.NewReader(b), MaxFrame)
		if err != nil {
			return
		}
		again, err := appendFrame(nil, m)
		if err != nil {
			return // names and details of invalid UTF-8 are refused when they are written
		}
		n, err := readFrame(bytes.NewReader(again), MaxFrame)
		if err != nil || n.ID != m.ID || n.Method != m.Method || n.Code != m.Code || n.Detail != m.Detail || !bytes.Equal(n.Body, m.Body) {
			t.Errorf("%+v came back as %+v, %v", m, n, err)
		}
	})
}
