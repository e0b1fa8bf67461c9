package wire

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// maxRaftIO bounds one read or write of a Raft connection. Raft itself multiplies
// its deadline by the size of a snapshot: hours for a gigabyte.
const maxRaftIO = 2 * time.Minute

// A StreamLayer gives Raft its connections through the port. Of says which node is
// expected at an address; it may answer with nothing.
type StreamLayer struct {
	port *Port
	of   func(address string) string
}

// Raft returns the port as Raft's stream layer.
func (p *Port) Raft(of func(address string) string) *StreamLayer { return &StreamLayer{p, of} }

// Accept returns the next connection of an authenticated node.
func (s *StreamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-s.port.raft:
		return c, nil
	case <-s.port.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close does nothing: the port is closed by its owner, after Raft.
func (s *StreamLayer) Close() error { return nil }

// Addr returns the advertised address.
func (s *StreamLayer) Addr() net.Addr { return address(s.port.advertise) }

// Dial connects to a peer and makes sure it is the node expected there.
func (s *StreamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.port.ctx, timeout)
	defer cancel()
	c, err := s.port.dial(ctx, string(to), s.of(string(to)), protoRaft)
	if err != nil {
		return nil, err
	}
	if !s.port.track(c) {
		return nil, net.ErrClosed
	}
	return &raftConn{Conn: c, done: func() { s.port.forget(c) }}, nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// A raftConn caps Raft's deadlines while allowing progress: the deadline moves on
// with every write, up to what Raft had asked for.
type raftConn struct {
	net.Conn
	mu    sync.Mutex
	until time.Time
	once  sync.Once
	done  func()
}

func (c *raftConn) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

func (c *raftConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.until = t
	c.mu.Unlock()
	return c.Conn.SetDeadline(capped(t))
}

func (c *raftConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	until := c.until
	c.mu.Unlock()
	if !until.IsZero() {
		if err := c.Conn.SetDeadline(capped(until)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

func capped(t time.Time) time.Time {
	if limit := time.Now().Add(maxRaftIO); !t.IsZero() && t.After(limit) {
		return limit
	}
	return t
}
