// Package note seals values that browsers carry for us: flows, tickets and links. A note is text that is safe in URLs and
// forms, for one purpose and tenant; what it says nobody can read or change, and each has one spelling.
//
// A purpose that went through [seal.Ring.Passing] is that of one epoch: the note is dead once a backup was restored.
//
// Not here: for how long a note is good, and that it is good once. The values say so.
package note

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

var text = base64.RawURLEncoding.Strict()

// encoder keeps times to the microsecond: by default they are whole seconds, and what was
// begun after a sign-in of the same second would have been begun before it.
var encoder = must(cbor.EncOptions{Time: cbor.TimeUnixMicro}.EncMode())

var decoder = must(cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 8}.DecMode())

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}

// Seal returns v as a note.
func Seal(ring *seal.Ring, purpose, tenant string, v any) (string, error) {
	plain, err := encoder.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	box, err := ring.Seal(purpose, plain, []byte(tenant))
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	return text.EncodeToString(box), nil
}

// Open reads into v what [Seal] was given. It reports seal.ErrBox for anything else, which is not looked at beyond most
// characters. fsm.ErrUnavailable and seal.ErrSealed pass: then this node cannot know.
func Open(ring *seal.Ring, purpose, tenant, sealed string, most int, v any) error {
	if tenant == "" || len(sealed) > most || strings.ContainsAny(sealed, "\r\n") { // which decoding would pass over
		return seal.ErrBox
	}
	box, err := text.DecodeString(sealed)
	if err != nil {
		return seal.ErrBox
	}
	plain, err := ring.Open(purpose, box, []byte(tenant))
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, seal.ErrSealed) {
		return fmt.Errorf("open %s: %w", purpose, err)
	}
	if err != nil || decoder.Unmarshal(plain, v) != nil {
		return seal.ErrBox
	}
	return nil
}

// Decode reads a value that a note held as bytes.
func Decode(plain []byte, v any) error { return decoder.Unmarshal(plain, v) }
