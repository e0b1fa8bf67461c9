package seal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxRootKeys is more than any change of the root key needs.
const maxRootKeys = 4

// ParseRootKey reads a root key written as 64 hexadecimal digits or in base64
// (standard or URL alphabet); white space around it does not matter. There may be
// several, on lines of their own or separated by commas: the first is in use, the
// others are accepted as well. What follows a # is a comment. Its errors never repeat
// the text.
func ParseRootKey(text string) (*RootKey, error) {
	var keys []*RootKey
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Split(line, ",") {
			if word = strings.TrimSpace(word); word == "" {
				continue
			}
			k, err := parseOne(word)
			if err != nil && i > 0 {
				err = fmt.Errorf("line %d: %w", i+1, err)
			}
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("root key is empty")
	}
	return JoinRootKeys(keys...)
}

func parseOne(text string) (*RootKey, error) {
	b, ok := decodeRootKey(text)
	if !ok {
		return nil, fmt.Errorf("root key of %d characters is neither 64 hexadecimal digits nor base64 of 32 bytes", len(text))
	}
	if len(b) != rootKeySize {
		return nil, fmt.Errorf("root key has %d bytes, must have %d", len(b), rootKeySize)
	}
	if weak(b) {
		return nil, errors.New("root key repeats one byte: make one with a random generator")
	}
	return newRootKey([rootKeySize]byte(b)), nil
}

// JoinRootKeys returns the first of the keys with all others as its others, each once.
// Its error is that there are too many, or none.
func JoinRootKeys(keys ...*RootKey) (*RootKey, error) {
	var all []*RootKey
	for _, k := range keys {
		for _, one := range k.Keys() {
			if !slices.ContainsFunc(all, func(o *RootKey) bool { return o.key == one.key }) {
				all = append(all, one)
			}
		}
	}
	if len(all) == 0 || len(all) > maxRootKeys {
		return nil, fmt.Errorf("%d root keys, must be 1 to %d", len(all), maxRootKeys)
	}
	first := newRootKey(all[0].key)
	first.others = all[1:]
	return first, nil
}

// Keys returns each key alone, the one in use first.
func (k *RootKey) Keys() []*RootKey {
	return append([]*RootKey{{key: k.key, aead: k.aead, id: k.id}}, k.others...)
}

// IDs returns the fingerprints of all keys, that of the one in use first.
func (k *RootKey) IDs() []string {
	ids := []string{k.id}
	for _, o := range k.others {
		ids = append(ids, o.id)
	}
	return ids
}

// Knows reports whether the key with that fingerprint is among k's.
func (k *RootKey) Knows(id string) bool { return slices.Contains(k.IDs(), id) }

// Only returns the key with that fingerprint alone, or nil.
func (k *RootKey) Only(id string) *RootKey {
	for _, one := range k.Keys() {
		if one.id == id {
			return one
		}
	}
	return nil
}

// Opener returns the fingerprint of the key that opens what Wrap returned, or nothing.
func (k *RootKey) Opener(box, aad []byte) string {
	if _, by, err := k.unwrap(box, aad); err == nil {
		return by.id
	}
	return ""
}

// Rewrap returns what Wrap returned under the key in use, and whether that was news. It
// reports ErrBox if none of k's keys opens it.
func (k *RootKey) Rewrap(box, aad []byte) ([]byte, bool, error) {
	plain, by, err := k.unwrap(box, aad)
	if err != nil || by.id == k.id {
		return box, false, err
	}
	box, err = k.Wrap(plain, aad)
	return box, err == nil, err
}
