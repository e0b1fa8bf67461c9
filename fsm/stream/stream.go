// Package stream is how a whole store travels: records of key and value, each with its
// length, and the SHA-256 of everything at the end.
//
// Format: a line of magic, then for each record the length of its key as a varint, the
// key, the length of its value, the value; an empty key ends them, followed by the
// SHA-256 of everything before it. What a record means is the business of package fsm.
//
// Invariant: whatever a stream claims, no more is allocated than has arrived, and
// nothing counts before [Read] has returned nil.
package stream

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrDamaged is the kind of what Read reports about a stream that is not whole.
var ErrDamaged = errors.New("store stream is damaged")

const (
	magic = "quis-fsm-stream-1\n"

	maxField = 2 << 20 // bytes of one key or value of a stream that comes from outside
	buffered = 256 << 10
)

// A Writer writes one stream. Its first error stays.
type Writer struct {
	to   io.Writer
	out  *bufio.Writer
	sum  hash.Hash
	head []byte
}

// NewWriter begins a stream on w.
func NewWriter(w io.Writer) *Writer {
	h := sha256.New()
	s := &Writer{to: w, sum: h, out: bufio.NewWriterSize(io.MultiWriter(w, h), buffered)}
	s.out.WriteString(magic) // out keeps its first error for Flush
	return s
}

// Put adds a record. The key must not be empty.
func (s *Writer) Put(key, value []byte) error {
	s.head = binary.AppendUvarint(s.head[:0], uint64(len(key)))
	s.head = binary.AppendUvarint(append(s.head, key...), uint64(len(value)))
	s.out.Write(s.head)
	_, err := s.out.Write(value)
	return err
}

// Sum ends the records and returns the checksum, without writing it.
func (s *Writer) Sum() (sum [32]byte, err error) {
	s.out.WriteByte(0)
	if err := s.out.Flush(); err != nil {
		return sum, err
	}
	return [32]byte(s.sum.Sum(nil)), nil
}

// Close ends the stream with its checksum.
func (s *Writer) Close() error {
	sum, err := s.Sum()
	if err == nil {
		_, err = s.to.Write(sum[:])
	}
	return err
}

// Read gives each record of a stream to put, which must keep nothing of it. Only when
// it returns nil was the stream whole and undamaged. It may read on behind the end.
func Read(r io.Reader, put func(key, value []byte) error) error {
	in := &reader{r: bufio.NewReaderSize(r, buffered), sum: sha256.New()}
	if m, err := in.take(len(magic), nil); err != nil || string(m) != magic {
		return fmt.Errorf("not a store stream: %w", errors.Join(ErrDamaged, err))
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
		return fmt.Errorf("store stream fails its checksum: %w", errors.Join(ErrDamaged, err))
	}
	return nil
}

// A reader hashes what it reads.
type reader struct {
	r   *bufio.Reader
	sum hash.Hash
}

// take reads n bytes into buf, or a larger one. What it allocates grows with what
// really arrives.
func (s *reader) take(n int, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		part := min(n-len(buf), 64<<10)
		at := len(buf)
		if cap(buf) < at+part {
			buf = append(make([]byte, 0, 2*(at+part)), buf...)
		}
		buf = buf[:at+part]
		if _, err := io.ReadFull(s.r, buf[at:]); err != nil {
			return nil, fmt.Errorf("store stream: truncated: %w: %w", ErrDamaged, err)
		}
	}
	s.sum.Write(buf)
	return buf, nil
}

func (s *reader) field(buf []byte) ([]byte, error) {
	peek, err := s.r.Peek(binary.MaxVarintLen32)
	if len(peek) == 0 {
		return nil, fmt.Errorf("store stream: truncated: %w: %w", ErrDamaged, err)
	}
	n, size := binary.Uvarint(peek)
	if size <= 0 || n > maxField {
		return nil, fmt.Errorf("store stream: malformed: %w", ErrDamaged)
	}
	s.sum.Write(peek[:size])
	s.r.Discard(size)
	return s.take(int(n), buf)
}
