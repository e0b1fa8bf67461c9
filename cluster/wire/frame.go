package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// MaxFrame is the largest frame accepted from an authenticated peer, in bytes.
const MaxFrame = 2 << 20

// maxProof bounds a frame from somebody who has proved nothing yet.
const maxProof = 1 << 10

// ErrFrame reports bytes on a connection that are no frame of this protocol.
var ErrFrame = errors.New("malformed frame")

// A message is one frame: a request when it has a method, otherwise a response.
type message struct {
	ID      uint64          `cbor:"1,keyasint"`
	Method  string          `cbor:"2,keyasint,omitempty"`
	Timeout uint32          `cbor:"3,keyasint,omitempty"` // milliseconds the caller will wait
	Code    uint8           `cbor:"4,keyasint,omitempty"` // 0 or a Fault's code
	Detail  string          `cbor:"5,keyasint,omitempty"`
	Body    cbor.RawMessage `cbor:"6,keyasint,omitempty"`
}

var (
	encoding = mustMode(cbor.CoreDetEncOptions().EncMode())
	decoding = mustMode(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: 4096,
		MaxMapPairs:      64,
	}.DecMode())
)

func mustMode[M any](mode M, err error) M {
	if err != nil {
		panic(err) // constant options: cannot fail once it has not
	}
	return mode
}

// appendFrame appends m as a frame.
func appendFrame(out []byte, m *message) ([]byte, error) {
	body, err := encoding.Marshal(m)
	if err != nil {
		return out, fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > MaxFrame {
		return out, fmt.Errorf("frame of %d bytes is over %d: %w", len(body), MaxFrame, ErrFrame)
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	return append(out, body...), nil
}

// readFrame reads one frame of at most limit bytes. It allocates no more than has
// arrived and a little, whatever length is announced.
func readFrame(r io.Reader, limit int) (*message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n == 0 || n > int64(limit) {
		return nil, fmt.Errorf("frame of %d bytes: %w", n, ErrFrame)
	}
	body, err := readBody(r, int(n))
	if err != nil {
		return nil, fmt.Errorf("frame cut short: %w", err)
	}
	m := &message{}
	if err := decoding.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return m, nil
}

func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	if n <= step {
		body := make([]byte, n)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(body) < n {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}
