package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	recordSize = 4096 // RFC 8291, section 4: one record
	padded     = 1024 // bytes of every plaintext: its length tells of no language
	saltSize   = 16
)

// encrypt makes the body of a message that only the browser reads (RFC 8291).
func encrypt(plain, p256dh, auth []byte) ([]byte, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	if len(plain) >= padded {
		return nil, errors.New("push message is too long")
	}
	return encryptWith(own, salt, pad(plain, padded), p256dh, auth)
}

// pad ends the last record, and fills it up (RFC 8188, section 2).
func pad(plain []byte, size int) []byte {
	out := make([]byte, max(size, len(plain)+1))
	out[copy(out, plain)] = 2
	return out
}

func encryptWith(own *ecdh.PrivateKey, salt, record, p256dh, auth []byte) ([]byte, error) {
	browser, err := ecdh.P256().NewPublicKey(p256dh)
	if err != nil {
		return nil, fmt.Errorf("push subscription: %w", err)
	}
	shared, err := own.ECDH(browser)
	if err != nil {
		return nil, fmt.Errorf("push subscription: %w", err)
	}
	public := own.PublicKey().Bytes()
	aead, nonce, err := contentKey(shared, auth, salt, p256dh, public)
	if err != nil {
		return nil, err
	}
	body := append([]byte{}, salt...)
	body = binary.BigEndian.AppendUint32(body, recordSize)
	body = append(body, byte(len(public)))
	body = append(body, public...)
	return aead.Seal(body, nonce, record, nil), nil
}

// contentKey derives what encrypts (RFC 8291, section 3.4, and RFC 8188, section 2).
func contentKey(shared, auth, salt, browser, server []byte) (cipher.AEAD, []byte, error) {
	info := "WebPush: info\x00" + string(browser) + string(server)
	secret, err := hkdf.Key(sha256.New, shared, auth, info, 32)
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, nonce, err
}
