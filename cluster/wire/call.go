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

var errRetired = errors.New("connection is in use no more")

// ErrLost reports a call that left, but whose answer did not come.
var ErrLost = errors.New("answer lost")

// A Fault is an answer that says no. The codes belong to whoever defines the methods; 0 is not a code.
type Fault struct {
	Code   uint8
	Detail string
}

func (f *Fault) Error() string { return f.Detail }

// NoMethod is the code of a fault that says that the peer, of an older release, does not know the method.
const NoMethod uint8 = 254

const (
	writeTimeout   = 10 * time.Second
	longestCall    = 30 * time.Second
	callsPerPeer   = 256 // handled at once for one connection; more wait unread
	faultUntyped   = 255
	maxFaultDetail = 1 << 10
)

// A Conn is one connection over which calls go out. Many may be under way at once.
type Conn struct {
	net  net.Conn
	wmu  sync.Mutex
	out  []byte
	mu   sync.Mutex
	next uint64
	wait map[uint64]chan *message
	err  error
	last bool // no more calls: it ends with the last answer
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

// retire ends the connection when the calls under way are answered, which takes no longer
// than a call may take. New calls are not made over it.
func (c *Conn) retire() {
	c.mu.Lock()
	c.last = true
	idle := len(c.wait) == 0
	c.mu.Unlock()
	if idle {
		c.fail(net.ErrClosed)
		return
	}
	time.AfterFunc(longestCall, func() { c.fail(net.ErrClosed) })
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
		done := c.last && len(c.wait) == 0
		c.mu.Unlock()
		if ch != nil {
			ch <- m
		}
		if done {
			c.fail(net.ErrClosed)
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
	if err := c.err; err != nil || c.last {
		c.mu.Unlock()
		return fmt.Errorf("call %s: %w: %w", method, ErrNotSent, errors.Join(err, errRetired))
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
