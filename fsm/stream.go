package fsm

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/quis-idp/quis/fsm/stream"
)

// Flush makes everything applied so far durable and returns that position: the
// engine itself is the snapshot. The log may be truncated up to Position.Index.
func (db *DB) Flush() (Position, error) {
	if err := db.failure.get(); err != nil {
		return Position{}, err
	}
	eng, st, err := db.acquire()
	if err != nil {
		return Position{}, err
	}
	defer eng.release()
	flushed, err := eng.db.AsyncFlush()
	if err != nil {
		return Position{}, engineError("flush", err)
	}
	select {
	case <-flushed:
		return st.position(), nil
	case <-db.failure.happened: // the engine would try for ever
		return Position{}, db.failure.get()
	}
}

// A Stream is a consistent copy of the store, taken when it was opened. Close of
// the store waits for it.
type Stream struct {
	Position Position
	eng      *engine
	snap     *pebble.Snapshot
}

// OpenStream takes a snapshot to be written out. Close it when done.
func (db *DB) OpenStream() (*Stream, error) {
	eng, snap, _, err := db.snapshot()
	if err != nil {
		return nil, err
	}
	s := &Stream{eng: eng, snap: snap}
	st, err := loadState(snap)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Position = st.position()
	return s, nil
}

// Close releases the snapshot.
func (s *Stream) Close() error {
	if s.snap == nil {
		return nil
	}
	err := s.snap.Close()
	s.snap = nil
	s.eng.release()
	return err
}

// WriteTo writes the whole store with its checksum.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	count := &countingWriter{w: w}
	sum, err := writeStream(s.snap, count, nil)
	if err != nil {
		return count.n, fmt.Errorf("write store stream: %w", err)
	}
	_, err = count.Write(sum[:])
	return count.n, err
}

var errStopped = errors.New("stopped")

// writeStream writes what r holds, without the checksum, which it returns. It ends
// with errStopped if stop says so.
func writeStream(r reader, w io.Writer, stop func() bool) (sum [32]byte, err error) {
	out := stream.NewWriter(w)
	var werr error
	n := 0
	err = iterate(r, &pebble.IterOptions{}, false, func(key, value []byte) bool {
		if n++; n%1024 == 0 && stop != nil && stop() {
			werr = errStopped
			return false
		}
		werr = out.Put(key, value)
		return werr == nil
	})
	if err = errors.Join(err, werr); err != nil {
		return sum, err
	}
	return out.Sum()
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// readStream gives each record of a stream to put, which must keep nothing of it.
// Only when it returns nil was the stream whole and undamaged.
func readStream(r io.Reader, put func(key, value []byte) error) error {
	err := stream.Read(r, put)
	if errors.Is(err, stream.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// StateHash returns a hash over all that is stored, and the log index it is of.
// Two replicas at the same index must have the same; unlike Position.Chain it
// reads every byte back and so finds damage on the disk. See also Checkpoint.
func (db *DB) StateHash() (index uint64, sum [32]byte, err error) {
	s, err := db.OpenStream()
	if err != nil {
		return 0, sum, err
	}
	sum, err = writeStream(s.snap, io.Discard, nil)
	return s.Position.Index, sum, errors.Join(err, s.Close())
}
