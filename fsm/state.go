package fsm

import (
	"encoding/binary"
	"time"
)

// state is what a replica knows about how far it has come. It is written in the
// same engine batch as the rows, so the two cannot disagree after a crash.
type state struct {
	applied, term uint64
	stamp         int64 // milliseconds; never goes back
	chain         [32]byte
	config        []byte
	configIndex   uint64
}

var (
	keyState  = []byte{spaceSystem, 'a'}
	keyConfig = []byte{spaceSystem, 'c'}
)

func (s *state) encode() []byte {
	b := make([]byte, 0, 1+3*8+32)
	b = append(b, 1)
	b = binary.BigEndian.AppendUint64(b, s.applied)
	b = binary.BigEndian.AppendUint64(b, s.term)
	b = binary.BigEndian.AppendUint64(b, uint64(s.stamp))
	return append(b, s.chain[:]...)
}

func loadState(r reader) (state, error) {
	var s state
	b, err := get(r, keyState)
	if err != nil || b == nil {
		return s, err
	}
	if err := s.take(keyState, b); err != nil {
		return s, err
	}
	c, err := get(r, keyConfig)
	if err != nil || c == nil {
		return s, err
	}
	return s, s.take(keyConfig, c)
}

func (s *state) position() Position {
	return Position{
		Index: s.applied, Term: s.term, Chain: s.chain,
		Time:   time.UnixMilli(s.stamp).UTC(),
		Config: s.config, ConfigIndex: s.configIndex,
	}
}
