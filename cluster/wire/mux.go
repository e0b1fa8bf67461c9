package wire

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// What somebody who knows a join token may ask before it is a member: one call at a time,
// for as long as a joining node waits.
const (
	maxVisitFrame = 64 << 10
	visitTime     = 15 * time.Second
)

// A Peer is the far end of an authenticated connection. NodeID is empty on quis-join/1
// and quis-token/1.
type Peer struct {
	NodeID  string
	Token   string // ID of the join token that it has proved to know, on quis-token/1
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
	atOnce, largest := callsPerPeer, MaxFrame
	if from.Token != "" { // not a peer yet, and never one if the token is worth nothing
		atOnce, largest = 1, maxVisitFrame
		if err := c.SetReadDeadline(time.Now().Add(visitTime)); err != nil {
			return
		}
	}
	slots := make(chan struct{}, atOnce)
	for {
		q, err := readFrame(in, largest)
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
		return &message{ID: q.ID, Code: NoMethod, Detail: "no such method"}
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
