package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

const (
	pieceSize  = 1 << 20
	abandoned  = time.Minute // after the last piece was asked for
	leastLimit = 10 * time.Second
)

type stateRequest struct {
	Begin bool   `cbor:"1,keyasint,omitempty"`
	Least uint64 `cbor:"2,keyasint,omitempty"` // with Begin: the log index that the state must have reached
	Piece uint64 `cbor:"3,keyasint,omitempty"` // which is due, from 0
}

type stateAnswer struct {
	Index uint64 `cbor:"1,keyasint,omitempty"`
	Data  []byte `cbor:"2,keyasint,omitempty"`
	End   bool   `cbor:"3,keyasint,omitempty"`
}

// outgoing is a state being read by another member.
type outgoing struct {
	stream *fsm.Stream
	r      *io.PipeReader
	next   uint64
	idle   *time.Timer
}

func (o *outgoing) close() {
	o.idle.Stop()
	o.r.Close() // the writer ends then
}

// handleState gives a member the next piece of this node's state.
func (c *Comparer) handleState(ctx context.Context, from wire.Peer, q *stateRequest) (any, error) {
	if err := c.Isolated(); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(c.cfg.Members(), func(m Member) bool { return m.ID == from.NodeID }) {
		return nil, errors.New("not a member")
	}
	if q.Begin {
		if err := c.begin(ctx, from.NodeID, q.Least); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	o := c.streams[from.NodeID]
	if o == nil || o.next != q.Piece {
		c.mu.Unlock()
		return nil, errors.New("no such piece: begin anew")
	}
	o.next++
	c.mu.Unlock()
	o.idle.Reset(abandoned)
	a := &stateAnswer{Index: o.stream.Position.Index, Data: make([]byte, pieceSize)}
	n, err := io.ReadFull(o.r, a.Data)
	a.Data = a.Data[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		a.End, err = true, nil
		c.end(from.NodeID, o)
	}
	if err != nil {
		c.end(from.NodeID, o)
		return nil, fmt.Errorf("read state: %w", err)
	}
	return a, nil
}

// begin opens a stream for a member; the one that it had is given up.
func (c *Comparer) begin(ctx context.Context, reader string, least uint64) error {
	ctx, cancel := context.WithTimeout(ctx, leastLimit)
	defer cancel()
	if err := c.cfg.DB.WaitApplied(ctx, least); err != nil {
		return err
	}
	stream, err := c.cfg.DB.OpenStream()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	o := &outgoing{stream: stream, r: r}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errors.Join(errors.New("node is stopping"), stream.Close())
	}
	o.idle = time.AfterFunc(abandoned, func() { c.end(reader, o) })
	c.writers.Go(func() {
		_, err := stream.WriteTo(w)
		w.CloseWithError(errors.Join(err, stream.Close()))
	})
	old := c.streams[reader]
	c.streams[reader] = o
	c.mu.Unlock()
	if old != nil {
		old.close()
	}
	return nil
}

func (c *Comparer) end(reader string, o *outgoing) {
	o.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[reader] == o {
		delete(c.streams, reader)
	}
}

// Close ends what others read from here, and waits for it; nothing begins after that.
func (c *Comparer) Close() {
	c.mu.Lock()
	streams := c.streams
	c.streams, c.closed = map[string]*outgoing{}, true
	c.mu.Unlock()
	for _, o := range streams {
		o.close()
	}
	c.writers.Wait() // also those that were given up before
}

// fetch writes the state of m into file and returns the log index that it is of: not
// before what this node has applied when it asks.
func (c *Comparer) fetch(ctx context.Context, m Member, file *os.File) (index uint64, err error) {
	if err := file.Truncate(0); err != nil {
		return 0, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	q := stateRequest{Begin: true, Least: c.cfg.DB.Position().Index}
	for {
		call, cancel := context.WithTimeout(ctx, leastLimit+callTimeout)
		var a stateAnswer
		err := c.cfg.Call(call, m, methodState, &q, &a)
		cancel()
		if err != nil {
			return 0, err
		}
		if _, err := file.Write(a.Data); err != nil {
			return 0, err
		}
		if a.End {
			return a.Index, nil
		}
		q = stateRequest{Piece: q.Piece + 1}
	}
}
