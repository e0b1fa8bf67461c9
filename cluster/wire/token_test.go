package wire

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// tokenPort is a member that knows one token, and the pass of that token.
func tokenPort(t *testing.T, s *site, node string) (*Port, Pass) {
	t.Helper()
	pass := Pass{ClusterID: s.authority.ClusterID(), Pin: sha256.Sum256(s.authority.Cert.RawSubjectPublicKeyInfo), ID: "token", Key: [32]byte{7}}
	p := s.port(node, func(c *Config) {
		c.Token = &Mux{}
		Handle(c.Token, "enter", func(_ context.Context, from Peer, q *string) (any, error) {
			return from.Token + from.NodeID + ":" + *q, nil
		})
		c.Vouch = func(_ context.Context, id string) (Voucher, error) {
			if id != pass.ID {
				return Voucher{}, nil
			}
			return Voucher{Known: true, Key: pass.Key}, nil
		}
	})
	return p, pass
}

func TestJoinTokenOnTheWire(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	p, pass := tokenPort(t, s, "a")
	c, err := DialToken(t.Context(), p.Advertise(), pass)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got string
	if err := c.Call(t.Context(), "enter", "x", &got); err != nil || got != "token:x" {
		t.Errorf("%q, %v", got, err)
	}
	var fault *Fault
	if err := c.Call(t.Context(), "echo", "x", &got); !errors.As(err, &fault) {
		t.Errorf("a method of another protocol: %v", err)
	}
	other := newSite(t, "c1")
	for name, c := range map[string]struct {
		spoil func(*Pass)
		want  error
	}{
		"unknown token":  {func(p *Pass) { p.ID = "other" }, ErrTokenUnknown},
		"zero key":       {func(p *Pass) { p.ID, p.Key = "other", [32]byte{} }, ErrTokenUnknown},
		"wrong secret":   {func(p *Pass) { p.Key[0]++ }, ErrTokenUnknown},
		"pin of another": {func(p *Pass) { p.Pin = sha256.Sum256(other.authority.Cert.RawSubjectPublicKeyInfo) }, ErrPin},
		"other cluster":  {func(p *Pass) { p.ClusterID = "c2" }, ErrPin},
	} {
		bad := pass
		c.spoil(&bad)
		if conn, err := DialToken(t.Context(), p.Advertise(), bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				conn.Close()
			}
		}
	}
	bare := s.port("b") // knows nothing of tokens
	if _, err := DialToken(t.Context(), bare.Advertise(), pass); !errors.Is(err, ErrNoTokens) {
		t.Errorf("a node without tokens: %v", err)
	}
	young := s.port("") // has no identity yet
	if _, err := DialToken(t.Context(), young.Advertise(), pass); !errors.Is(err, ErrNoTokens) {
		t.Errorf("a node without an identity: %v", err)
	}
}

// Somebody in the middle who can even show a certificate of the pinned authority gets
// nothing to pass on: the proof is bound to the connection.
func TestJoinTokenProofCannotBePassedOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	p, pass := tokenPort(t, s, "a")
	thief := s.identity("thief", time.Now())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		NextProtos:   []string{protoToken},
		Certificates: []tls.Certificate{{Certificate: [][]byte{thief.Cert.Certificate[0], s.authority.Cert.Raw}, PrivateKey: thief.Cert.PrivateKey}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		defer in.Close()
		out, err := tls.Dial("tcp", p.Advertise(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoToken}})
		if err != nil {
			return
		}
		defer out.Close()
		go io.Copy(out, in)
		io.Copy(in, out)
	}()
	if c, err := DialToken(t.Context(), l.Addr().String(), pass); err == nil {
		c.Close()
		t.Error("a proof was passed on")
	} else if !errors.Is(err, ErrTokenUnknown) {
		t.Error(err)
	}
}

func TestWrongTokensAreHeldBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	p, pass := tokenPort(t, s, "a")
	bad := pass
	bad.Key[0]++
	limited := false
	for range maxStrikes + 2 {
		_, err := DialToken(t.Context(), p.Advertise(), bad)
		limited = limited || errors.Is(err, ErrTokenLimited)
		if err == nil {
			t.Fatal("let in")
		}
	}
	if !limited {
		t.Error("nobody was held back")
	}
	var k strikes
	now := time.Now()
	for range maxStrikes {
		if !k.allowed("10.0.0.1:1", now) {
			t.Error("held back too early")
		}
		k.note("10.0.0.1:1", now)
	}
	if k.allowed("10.0.0.1:2", now) || !k.allowed("10.0.0.2:1", now) || !k.allowed("10.0.0.1:1", now.Add(2*strikeFades)) {
		t.Error("the wrong ones are held back")
	}
	k.note("[2001:db8::1]:1", now)
	for i := range 3 * maxStrangely {
		k.note(net.JoinHostPort(net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)).String(), "1"), now)
	}
	if len(k.full) > maxStrangely {
		t.Errorf("%d networks are remembered", len(k.full))
	}
}

// A connection is closed when its certificate's authority is trusted no more, and calls
// under way outlive a change of credentials.
func TestRecheckAndReset(t *testing.T) {
	t.Parallel()
	s := newSite(t, "c1")
	a, b := s.port("a"), s.port("b")
	slow := make(chan error, 1)
	begun := make(chan struct{})
	finish := make(chan struct{})
	Handle(s.rpc, "slow", func(context.Context, Peer, *string) (any, error) { close(begun); <-finish; return "done", nil })
	go func() {
		var got string
		slow <- a.Caller().Call(t.Context(), "b", b.Advertise(), "slow", "x", &got)
	}()
	<-begun
	a.Caller().Reset()
	var got string
	if err := a.Caller().Call(t.Context(), "b", b.Advertise(), "echo", "x", &got); err != nil {
		t.Error(err)
	}
	close(finish)
	if err := <-slow; err != nil {
		t.Errorf("a call under way: %v", err)
	}
	next := newSite(t, "c1")
	id := next.identity("b", time.Now())
	b.cfg.Credentials.Set(id)
	conn, err := a.caller.conn(t.Context(), "b", b.Advertise())
	if err != nil {
		t.Fatal(err)
	}
	b.Recheck()
	select {
	case <-conn.gone:
	case <-time.After(10 * time.Second):
		t.Error("a connection of the former authority stays open")
	}
}
