package fsm

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// The stream format: magic, then records of key and value, each with its length;
// an empty key ends them, followed by the SHA-256 of everything before it.
const streamMagic = "quis-fsm-stream-1\n"

// maxStreamField bounds one key or value of a stream that comes from outside.
const maxStreamField = 2 << 20

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
	h := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, h), 256<<10)
	out.WriteString(streamMagic) // out keeps its first error for Flush
	var head []byte
	var werr error
	n := 0
	err = iterate(r, &pebble.IterOptions{}, false, func(key, value []byte) bool {
		if n++; n%1024 == 0 && stop != nil && stop() {
			werr = errStopped
			return false
		}
		head = binary.AppendUvarint(head[:0], uint64(len(key)))
		head = binary.AppendUvarint(append(head, key...), uint64(len(value)))
		out.Write(head)
		_, werr = out.Write(value)
		return werr == nil
	})
	if err = errors.Join(err, werr); err != nil {
		return sum, err
	}
	out.WriteByte(0)
	if err := out.Flush(); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
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
	in := &streamReader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	if magic, err := in.take(len(streamMagic), nil); err != nil || string(magic) != streamMagic {
		return fmt.Errorf("not a store stream: %w", ErrCorrupt)
	}
	var key, value []byte
	var err error
	for {
		if key, err = in.field(key); err != nil {
			return err
		}
		if len(key) == 0 {
			break
		}
		if value, err = in.field(value); err != nil {
			return err
		}
		if err := put(key, value); err != nil {
			return err
		}
	}
	want := in.sum.Sum(nil)
	if got, err := in.take(len(want), nil); err != nil || string(got) != string(want) {
		return fmt.Errorf("store stream fails its checksum: %w", ErrCorrupt)
	}
	return nil
}

// A streamReader hashes what it reads.
type streamReader struct {
	r   *bufio.Reader
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
}

// take reads n bytes into buf, or a larger one. What it allocates grows with what
// really arrives.
func (s *streamReader) take(n int, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		part := min(n-len(buf), 64<<10)
		at := len(buf)
		if cap(buf) < at+part {
			buf = append(make([]byte, 0, 2*(at+part)), buf...)
		}
		buf = buf[:at+part]
		if _, err := io.ReadFull(s.r, buf[at:]); err != nil {
			return nil, fmt.Errorf("store stream: truncated: %w: %w", ErrCorrupt, err)
		}
	}
	s.sum.Write(buf)
	return buf, nil
}

func (s *streamReader) field(buf []byte) ([]byte, error) {
	peek, err := s.r.Peek(binary.MaxVarintLen32)
	if len(peek) == 0 {
		return nil, fmt.Errorf("store stream: truncated: %w: %w", ErrCorrupt, err)
	}
	n, size := binary.Uvarint(peek)
	if size <= 0 || n > maxStreamField {
		return nil, fmt.Errorf("store stream: malformed: %w", ErrCorrupt)
	}
	s.sum.Write(peek[:size])
	s.r.Discard(size)
	return s.take(int(n), buf)
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
