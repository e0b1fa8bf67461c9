package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// A Caller keeps one connection to each peer and makes calls over them.
type Caller struct {
	port *Port
	mu   sync.Mutex
	to   map[string]*link
	done bool
}

type link struct {
	mu   sync.Mutex
	conn *Conn
}

// Call makes a call to the node at address; node, if not empty, is who must answer there.
func (c *Caller) Call(ctx context.Context, node, address, method string, q, a any) error {
	for {
		conn, err := c.conn(ctx, node, address)
		if errors.Is(err, errRetired) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("call %s: %w: %w", method, ErrNotSent, err)
		}
		// Retired between the two lines: the next is another connection.
		if err = conn.Call(ctx, method, q, a); !errors.Is(err, errRetired) || ctx.Err() != nil {
			return err
		}
	}
}

func (c *Caller) conn(ctx context.Context, node, address string) (*Conn, error) {
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	l := c.to[node+"@"+address]
	if l == nil {
		l = &link{}
		c.to[node+"@"+address] = l
	}
	c.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		select {
		case <-l.conn.gone:
		default:
			return l.conn, nil
		}
	}
	raw, err := c.port.dial(ctx, address, node, protoRPC)
	if err != nil {
		return nil, err
	}
	l.conn = newConn(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.done:
		l.conn.Close()
		return nil, net.ErrClosed
	case c.to[node+"@"+address] != l: // Reset came between: this one has the former credentials
		l.conn.Close()
		return nil, errRetired
	}
	return l.conn, nil
}

// Reset makes the next calls use new connections, with the credentials of that time. The
// calls under way are answered over the old ones.
func (c *Caller) Reset() { c.leave((*Conn).retire) }

func (c *Caller) leave(conns func(*Conn)) {
	c.mu.Lock()
	old := c.to
	c.to = map[string]*link{}
	c.mu.Unlock()
	for _, l := range old {
		l.mu.Lock()
		if l.conn != nil {
			conns(l.conn)
		}
		l.mu.Unlock()
	}
}

// Drop closes the connection to node at address: a call that is stuck in it ends.
func (c *Caller) Drop(node, address string) {
	c.mu.Lock()
	l := c.to[node+"@"+address]
	delete(c.to, node+"@"+address)
	c.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}

func (c *Caller) close() {
	c.mu.Lock()
	c.done = true
	c.mu.Unlock()
	c.leave(func(conn *Conn) { conn.fail(net.ErrClosed) })
}
