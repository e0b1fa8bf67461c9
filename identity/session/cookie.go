package session

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quis-idp/quis/identity"
)

const (
	cookieVersion = 1
	secretSize    = 32
	macSize       = 16
	signedSize    = 1 + 16 + secretSize + 8 + 4
	cookieSize    = signedSize + macSize
	cookiePurpose = "session cookie"
)

var (
	cookieText = base64.RawURLEncoding.Strict() // one value, one spelling
	errCookie  = errors.New("not a session cookie")
)

// A handle is what a cookie says: version, ID, secret, log index, MAC key, MAC.
type handle struct {
	id     [16]byte
	secret [secretSize]byte
	index  uint64 // a node that has applied it has the row, or knows that it was deleted
	key    uint32
}

func (h *handle) signed() []byte {
	b := make([]byte, 0, cookieSize)
	b = append(b, cookieVersion)
	b = append(b, h.id[:]...)
	b = append(b, h.secret[:]...)
	b = binary.BigEndian.AppendUint64(b, h.index)
	return binary.BigEndian.AppendUint32(b, h.key)
}

// parseHandle takes a cookie value apart; the MAC is the rest.
func parseHandle(value string) (h handle, mac []byte, err error) {
	if len(value) != cookieText.EncodedLen(cookieSize) {
		return h, nil, errCookie
	}
	b, err := cookieText.DecodeString(value)
	if err != nil || len(b) != cookieSize || b[0] != cookieVersion {
		return h, nil, errCookie
	}
	copy(h.id[:], b[1:])
	copy(h.secret[:], b[17:])
	h.index = binary.BigEndian.Uint64(b[17+secretSize:])
	h.key = binary.BigEndian.Uint32(b[25+secretSize:])
	return h, b[signedSize:], nil
}

// Cookie returns the cookie value of a session whose transaction has been applied.
func (st *Store) Cookie(s *Started) (string, error) {
	if s.index == 0 {
		return "", errors.New("session cookie before its transaction was applied")
	}
	id, err := identity.ParseID(identity.PrefixSession, s.Session.ID)
	if err != nil {
		return "", err
	}
	h := handle{id: id, secret: s.secret, index: s.index, key: st.cfg.Ring.CurrentKey()}
	b := h.signed()
	mac, err := st.mac(s.Session.Tenant, h.key, b)
	if err != nil {
		return "", fmt.Errorf("session cookie: %w", err)
	}
	return cookieText.EncodeToString(append(b, mac[:]...)), nil
}

// open returns what a cookie says if this cluster has made it for this tenant.
func (st *Store) open(tenant, value string) (handle, error) {
	h, got, err := parseHandle(value)
	if err != nil {
		return h, err
	}
	want, err := st.mac(tenant, h.key, h.signed())
	if err != nil {
		return h, err
	}
	if subtle.ConstantTimeCompare(got, want[:]) != 1 {
		return h, errCookie
	}
	return h, nil
}

func (st *Store) mac(tenant string, key uint32, signed []byte) (short [macSize]byte, err error) {
	full, err := st.cfg.Ring.MAC(st.cfg.Ring.Passing(cookiePurpose), key, append(signed[:len(signed):len(signed)], tenant...))
	copy(short[:], full[:])
	return short, err
}
