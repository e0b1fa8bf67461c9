package fsm

import (
	"bufio"
	"bytes"
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
	eng, err := db.acquire()
	if err != nil {
		return Position{}, err
	}
	defer eng.release()
	p := db.Position()
	if p.Index == 0 {
		return p, nil
	}
	if err := eng.db.Flush(); err != nil {
		return Position{}, engineError("flush", err)
	}
	return p, nil
}

// A Stream is a consistent copy of the store, taken when it was opened.
type Stream struct {
	Position Position
	eng      *engine
	snap     *pebble.Snapshot
}

// OpenStream takes a snapshot to be written out. Close it when done.
func (db *DB) OpenStream() (*Stream, error) {
	eng, err := db.acquire()
	if err != nil {
		return nil, err
	}
	s := &Stream{eng: eng, snap: eng.db.NewSnapshot()}
	st, err := loadState(s.snap)
	if err != nil {
		s.Close()
		return nil, err
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
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(count, sum), 256<<10)
	out.WriteString(streamMagic)
	var head []byte
	var werr error
	err := iterate(s.snap, &pebble.IterOptions{}, false, func(key, value []byte) bool {
		head = binary.AppendUvarint(head[:0], uint64(len(key)))
		head = binary.AppendUvarint(append(head, key...), uint64(len(value)))
		out.Write(head)
		_, werr = out.Write(value)
		return werr == nil
	})
	if err = errors.Join(err, werr); err != nil {
		return count.n, fmt.Errorf("write store stream: %w", err)
	}
	out.WriteByte(0)
	if err := out.Flush(); err != nil {
		return count.n, fmt.Errorf("write store stream: %w", err)
	}
	_, err = count.Write(sum.Sum(nil))
	return count.n, err
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

// Restore replaces the whole store by a stream. The new generation is built
// beside the old one and verified before anything is switched, so a bad or
// interrupted stream leaves the store as it was. Readers inside finish on the old
// one. Restore belongs to the applying goroutine.
func (db *DB) Restore(r io.Reader) error {
	db.mu.RLock()
	old := db.eng
	db.mu.RUnlock()
	name, err := nextGeneration(old.name)
	if err != nil {
		return err
	}
	if err := db.build(name, r); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), db.cfg.FS.RemoveAll(db.cfg.FS.PathJoin(db.cfg.Dir, name)))
	}
	if err := switchGeneration(db.cfg, name); err != nil {
		return err
	}
	if err := db.openGeneration(name); err != nil {
		return err
	}
	if err := old.retire(); err != nil {
		return engineError("close old", err)
	}
	return db.cfg.FS.RemoveAll(db.cfg.FS.PathJoin(db.cfg.Dir, old.name))
}

func nextGeneration(name string) (string, error) {
	var n int
	if _, err := fmt.Sscanf(name, "gen-%d", &n); err != nil {
		return "", fmt.Errorf("store generation %q: %w", name, ErrCorrupt)
	}
	return fmt.Sprintf("gen-%06d", n+1), nil
}

// build fills a new generation from a stream and makes it durable.
func (db *DB) build(name string, r io.Reader) error {
	if err := db.cfg.FS.RemoveAll(db.cfg.FS.PathJoin(db.cfg.Dir, name)); err != nil {
		return err
	}
	eng, err := openEngine(db.cfg, name)
	if err != nil {
		return err
	}
	err = readStream(r, eng.db)
	if err == nil {
		_, err = loadState(eng.db)
	}
	if err == nil {
		err = eng.db.Flush()
	}
	return errors.Join(err, eng.retire())
}

func readStream(r io.Reader, db *pebble.DB) error {
	sum := sha256.New()
	in := &streamReader{r: bufio.NewReaderSize(r, 256<<10), sum: sum}
	magic := make([]byte, len(streamMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != streamMagic {
		return fmt.Errorf("not a store stream: %w", ErrCorrupt)
	}
	b := db.NewBatch()
	defer func() { b.Close() }()
	for {
		key, err := in.field()
		if err != nil {
			return err
		}
		if len(key) == 0 {
			break
		}
		value, err := in.field()
		if err != nil {
			return err
		}
		if err := b.Set(key, value, nil); err != nil {
			return err
		}
		if b.Len() > 1<<20 {
			if err := b.Commit(pebble.NoSync); err != nil {
				return err
			}
			b.Close()
			b = db.NewBatch()
		}
	}
	want := sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in.r, got); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("store stream fails its checksum: %w", ErrCorrupt)
	}
	return b.Commit(pebble.NoSync)
}

// A streamReader hashes what it reads.
type streamReader struct {
	r   *bufio.Reader
	sum io.Writer
}

func (s *streamReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	return n, err
}

func (s *streamReader) ReadByte() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.sum.Write([]byte{c})
	}
	return c, err
}

func (s *streamReader) field() ([]byte, error) {
	n, err := binary.ReadUvarint(s)
	if err != nil || n > maxStreamField {
		return nil, fmt.Errorf("store stream: truncated or malformed: %w", ErrCorrupt)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s, b); err != nil {
		return nil, fmt.Errorf("store stream: truncated: %w", ErrCorrupt)
	}
	return b, nil
}

// StateHash returns a hash over all that is stored, and the log index it is of.
// Two replicas at the same index must have the same; unlike Position.Chain it
// reads every byte back and so finds damage on the disk.
func (db *DB) StateHash() (index uint64, sum [32]byte, err error) {
	s, err := db.OpenStream()
	if err != nil {
		return 0, sum, err
	}
	defer s.Close()
	h := sha256.New()
	if _, err := s.WriteTo(h); err != nil {
		return 0, sum, err
	}
	return s.Position.Index, [32]byte(h.Sum(nil)), nil
}
