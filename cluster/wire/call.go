package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrNotSent reports a call that certainly did not reach the peer.
var ErrNotSent = errors.New("not sent")

// ErrLost reports a call that left, but whose answer did not come.
var ErrLost = errors.New("answer lost")

// A Fault is an answer that says no. The codes belong to whoever defines the methods; 0 is not a code.
type Fault struct {
	Code   uint8
	Detail string
}

func (f *Fault) Error() string { return f.Detail }

const (
	writeTimeout   = 10 * time.Second
	longestCall    = 30 * time.Second
	callsPerPeer   = 256 // handled at once for one connection; more wait unread
	faultNoMethod  = 254
	faultUntyped   = 255
	maxFaultDetail = 1 << 10
)

// A Peer is the far end of an authenticated connection. NodeID is empty on quis-join/1.
type Peer struct {
	NodeID  string
	Address string // its end of the connection; informative
}

// A Handler answers one call. An error that is a [Fault] keeps its code.
type Handler func(ctx context.Context, from Peer, body []byte) (any, error)

// A Mux holds the methods of one protocol. Add everything before it serves.
type Mux struct{ methods map[string]Handler }

// Handle adds a method whose argument is decoded into a Q.
func Handle[Q any](m *Mux, method string, fn func(ctx context.Context, from Peer, q *Q) (any, error)) {
	if m.methods == nil {
		m.methods = map[string]Handler{}
	}
	m.methods[method] = func(ctx context.Context, from Peer, body []byte) (any, error) {
		q := new(Q)
		if err := decoding.Unmarshal(body, q); err != nil {
			return nil, &Fault{Code: faultUntyped, Detail: "malformed argument of " + method}
		}
		return fn(ctx, from, q)
	}
}

// A Conn is one connection over which calls go out. Many may be under way at once.
type Conn struct {
	net  net.Conn
	wmu  sync.Mutex
	out  []byte
	mu   sync.Mutex
	next uint64
	wait map[uint64]chan *message
	err  error
	gone chan struct{}
}

func newConn(c net.Conn) *Conn {
	conn := &Conn{net: c, wait: map[uint64]chan *message{}, gone: make(chan struct{})}
	go conn.read()
	return conn
}

// Close ends the connection; calls under way report ErrLost.
func (c *Conn) Close() error {
	c.fail(net.ErrClosed)
	return nil
}

func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.gone)
	c.net.Close() // the reason is kept in err; a second one helps nobody
}

func (c *Conn) read() {
	in := bufio.NewReaderSize(c.net, 32<<10)
	for {
		m, err := readFrame(in, MaxFrame)
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		ch := c.wait[m.ID]
		delete(c.wait, m.ID)
		c.mu.Unlock()
		if ch != nil {
			ch <- m
		}
	}
}

// Call sends q to method and decodes the answer into a (which may be nil). The
// error is a *Fault, or wraps ErrNotSent or ErrLost. Without a deadline in ctx the
// call ends after 30 s.
func (c *Conn) Call(ctx context.Context, method string, q, a any) error {
	ctx, cancel := context.WithTimeout(ctx, longestCall)
	defer cancel()
	body, err := encoding.Marshal(q)
	if err != nil {
		return fmt.Errorf("call %s: %w: %w", method, ErrNotSent, err)
	}
	until, _ := ctx.Deadline()
	m := &message{Method: method, Timeout: uint32(max(1, time.Until(until).Milliseconds())), Body: body}
	ch := make(chan *message, 1)
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		return fmt.Errorf("call %s: %w: %w", method, ErrNotSent, err)
	}
	c.next++
	m.ID = c.next
	c.wait[m.ID] = ch
	c.mu.Unlock()
	if err := c.write(m); err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	select {
	case r := <-ch:
		if r.Code != 0 {
			return &Fault{Code: r.Code, Detail: r.Detail}
		}
		if a == nil {
			return nil
		}
		if err := decoding.Unmarshal(r.Body, a); err != nil {
			return fmt.Errorf("call %s: answer: %w: %w", method, ErrLost, err)
		}
		return nil
	case <-c.gone:
		return fmt.Errorf("call %s: %w: connection ended", method, ErrLost)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.wait, m.ID)
		c.mu.Unlock()
		return fmt.Errorf("call %s: %w: %w", method, ErrLost, ctx.Err())
	}
}

// write sends one frame. An error after the first byte may have left means ErrLost.
func (c *Conn) write(m *message) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	out, err := appendFrame(c.out[:0], m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if cap(out) <= 256<<10 {
		c.out = out
	}
	if err := c.net.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if _, err := c.net.Write(out); err != nil {
		c.fail(err)
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil
}

// serve answers the calls that come in over c until it ends.
func (m *Mux) serve(ctx context.Context, c net.Conn, from Peer) {
	ctx, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer func() {
		cancel()
		c.Close() // already broken or being shut down
		calls.Wait()
	}()
	in := bufio.NewReaderSize(c, 32<<10)
	conn := &Conn{net: c, gone: make(chan struct{})}
	slots := make(chan struct{}, callsPerPeer)
	for {
		q, err := readFrame(in, MaxFrame)
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		calls.Go(func() {
			defer func() { <-slots }()
			limit := min(time.Duration(q.Timeout)*time.Millisecond, longestCall)
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			if err := conn.write(m.answer(ctx, from, q)); err != nil {
				c.Close() // the reader then ends the connection
			}
		})
	}
}

func (m *Mux) answer(ctx context.Context, from Peer, q *message) *message {
	fn := m.methods[q.Method]
	if fn == nil {
		return &message{ID: q.ID, Code: faultNoMethod, Detail: "no such method"}
	}
	a, err := fn(ctx, from, q.Body)
	if err != nil {
		code := uint8(faultUntyped)
		var f *Fault
		if errors.As(err, &f) && f.Code != 0 {
			code = f.Code
		}
		detail := err.Error()
		return &message{ID: q.ID, Code: code, Detail: detail[:min(len(detail), maxFaultDetail)]}
	}
	r := &message{ID: q.ID}
	if a != nil {
		if r.Body, err = encoding.Marshal(a); err != nil {
			return &message{ID: q.ID, Code: faultUntyped, Detail: "answer cannot be encoded"}
		}
	}
	return r
}

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

func (c *Caller) close() {
	c.mu.Lock()
	c.done = true
	c.mu.Unlock()
	c.Reset()
}
