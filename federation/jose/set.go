package jose

import (
	"encoding/json"
	"errors"
)

// Limits of a JWK set.
const (
	MaxSet  = 64 << 10 // bytes
	MaxKeys = 50
)

// A Set is a JWK set as far as it is understood. The zero Set has no keys.
type Set struct{ keys []Key }

// ParseSet reads a JWK set (RFC 7517, section 5). Keys of kinds that are not known are
// left out, as the section asks. A set that holds one private, symmetric, weak, oversized
// or malformed key is refused whole with ErrKeys: whoever made it should hear of it at
// once. So is one with a kid twice for the same use, since which key is meant would be a guess.
func ParseSet(raw []byte) (*Set, error) {
	if len(raw) > MaxSet {
		return nil, keyFault("the key set has more than 64 KiB")
	}
	o, err := object(raw)
	if err != nil {
		return nil, keyFault("the key set is not a JSON object with each member once")
	}
	list, err := elements(o["keys"])
	if err != nil {
		return nil, err
	}
	s := &Set{}
	for _, item := range list {
		k, err := ParseKey(item)
		if errors.Is(err, errUnknownKind) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.clashes(k) {
			return nil, keyFault("the key set has two keys of one kid and use")
		}
		s.keys = append(s.keys, *k)
	}
	return s, nil
}

// elements splits the list of keys, no further than it may be long.
func elements(raw json.RawMessage) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if raw == nil || json.Unmarshal(raw, &list) != nil || list == nil {
		return nil, keyFault("the key set has no list named keys")
	}
	if len(list) > MaxKeys {
		return nil, keyFault("the key set has more than 50 keys")
	}
	return list, nil
}

func (s *Set) clashes(k *Key) bool {
	for i := range s.keys {
		old := &s.keys[i]
		if k.ID != "" && old.ID == k.ID && (old.Use == k.Use || old.Use == "" || k.Use == "") {
			return true
		}
	}
	return false
}

// NewSet returns a set of keys that are known already.
func NewSet(keys ...Key) *Set { return &Set{keys} }

// Keys are the keys of the set, in its order.
func (s *Set) Keys() []Key { return s.keys }

// Verifying returns the keys that can have made a signature of alg: with a kid, those
// that bear it or none; without one, all that fit. At most four, since each costs a verification.
func (s *Set) Verifying(kid, alg string) []Key {
	return s.pick(kid, 4, func(k *Key) bool { return k.Signs(alg) })
}

// Encrypting returns the key to encrypt to with the key management algorithm alg: the
// first that says it is for encryption, else the first that fits.
func (s *Set) Encrypting(alg string) (*Key, error) {
	fit := s.pick("", MaxKeys, func(k *Key) bool { return k.Encrypts(alg) })
	for i := range fit {
		if fit[i].Use == "enc" {
			return &fit[i], nil
		}
	}
	if len(fit) == 0 {
		return nil, keyFault("the key set has no key to encrypt to with this algorithm")
	}
	return &fit[0], nil
}

func (s *Set) pick(kid string, most int, fits func(*Key) bool) []Key {
	var out []Key
	if s == nil {
		return nil
	}
	for i := range s.keys {
		if k := &s.keys[i]; (kid == "" || k.ID == "" || k.ID == kid) && fits(k) && len(out) < most {
			out = append(out, *k)
		}
	}
	return out
}
