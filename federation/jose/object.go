package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// ErrToken matches every error about a token that cannot be accepted.
var ErrToken = errors.New("token is not valid")

// ErrKeys matches every error about keys that cannot be accepted.
var ErrKeys = errors.New("keys are not valid")

// A tokenFault says what is wrong with a token.
type tokenFault string

func (f tokenFault) Error() string   { return string(f) }
func (tokenFault) Is(err error) bool { return err == ErrToken }

// A keyFault says what is wrong with a key.
type keyFault string

func (f keyFault) Error() string   { return string(f) }
func (keyFault) Is(err error) bool { return err == ErrKeys }

const maxMembers = 100 // of a header, a key, or a set of claims

var errObject = errors.New("no JSON object with each name once")

// object reads a JSON object with its names as they stand there, each at most once.
// encoding/json alone would take "ISS" for "iss", and the last of two.
func object(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errObject
	}
	o := make(map[string]json.RawMessage, 8)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errObject
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, errObject
		}
		if _, twice := o[name]; twice || len(o) == maxMembers {
			return nil, errObject
		}
		o[name] = v
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, errObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errObject
	}
	return o, nil
}

// text reads a member that must be a string if it is there.
func text(o map[string]json.RawMessage, name string) (string, bool) {
	raw, there := o[name]
	if !there {
		return "", true
	}
	var s *string
	if json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// decode reads base64url without padding, and of all spellings only the one that an encoder writes.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return nil, errObject
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
