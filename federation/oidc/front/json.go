package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

var errJSON = errors.New("is no JSON object, or one with a name given twice")

// members returns the members of a JSON object. A name that is given twice would mean one
// thing to us and another to whoever checked the text before, so it is an error (RFC 8259, section 4).
func members(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errJSON
	}
	m := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errJSON
		}
		var value json.RawMessage
		if _, twice := m[name]; twice || d.Decode(&value) != nil {
			return nil, errJSON
		}
		m[name] = value
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, errJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return m, nil
}
