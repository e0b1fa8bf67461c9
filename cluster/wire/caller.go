package wire

import (
	"context"
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
	conn, err := c.conn(ctx, node, address)
	if err != nil {
		return fmt.Errorf("call %s: %w: %w", method, ErrNotSent, err)
	}
	return conn.Call(ctx, method, q, a)
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
	if c.done {
		l.conn.Close()
		return nil, net.ErrClosed
	}
	return l.conn, nil
}

// Reset closes all connections, so that the next calls use new credentials.
func (c *Caller) Reset() {
	c.mu.Lock()
	old := c.to
	c.to = map[string]*link{}
	c.mu.Unlock()
	for _, l := range old {
		l.mu.Lock()
		if l.conn != nil {
			l.conn.Close()
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
	c.Reset()
}
