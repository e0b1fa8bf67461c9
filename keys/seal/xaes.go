package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
)

// ErrBox: the bytes are no box that this key, purpose and context open: forged,
// damaged, or sealed under a key that is gone.
var ErrBox = errors.New("box does not open")

const (
	nonceSize = 24
	tagSize   = 16
	half      = nonceSize / 2
)

// xaes is XAES-256-GCM (C2SP): the first half of the nonce derives a one-off
// AES-256-GCM key by CMAC counter mode (NIST SP 800-108r1), the second half is that
// cipher's nonce. Random nonces are so safe for 2^80 messages under one key.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC subkey for whole blocks
}

func newXAES(key [32]byte) *xaes {
	block, err := aes.NewCipher(key[:])
	if err != nil { // only for key sizes that 32 is not
		panic(err)
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	var msb byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		msb, x.k1[i] = x.k1[i]>>7, x.k1[i]<<1|msb
	}
	x.k1[len(x.k1)-1] ^= msb * 0b10000111
	return x
}

func (x *xaes) NonceSize() int { return nonceSize }
func (x *xaes) Overhead() int  { return tagSize }

// gcm returns the cipher for one nonce prefix.
func (x *xaes) gcm(prefix []byte) cipher.AEAD {
	var key [32]byte
	for i := range 2 {
		m := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		copy(m, []byte{0, byte(i + 1), 'X', 0})
		copy(m[4:], prefix)
		subtle.XORBytes(m, m, x.k1[:])
		x.block.Encrypt(m, m)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil { // only for block sizes that AES does not have
		panic(err)
	}
	return aead
}

func (x *xaes) Seal(dst, nonce, plaintext, aad []byte) []byte {
	return x.gcm(nonce[:half]).Seal(dst, nonce[half:], plaintext, aad)
}

func (x *xaes) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	return x.gcm(nonce[:half]).Open(dst, nonce[half:], ciphertext, aad)
}

// appendSealed returns head, a random nonce and the ciphertext in one slice.
func appendSealed(aead cipher.AEAD, head, plaintext, aad []byte) []byte {
	box := make([]byte, len(head)+nonceSize, len(head)+nonceSize+len(plaintext)+tagSize)
	copy(box, head)
	nonce := box[len(head):]
	rand.Read(nonce)
	return aead.Seal(box, nonce, plaintext, aad)
}

// openSealed opens a box whose first skip bytes are its head.
func openSealed(aead cipher.AEAD, box []byte, skip int, aad []byte) ([]byte, error) {
	if len(box) < skip+nonceSize+tagSize {
		return nil, fmt.Errorf("%d bytes are too few: %w", len(box), ErrBox)
	}
	plain, err := aead.Open(nil, box[skip:skip+nonceSize], box[skip+nonceSize:], aad)
	if err != nil {
		return nil, ErrBox // the cipher's own error says nothing more
	}
	return plain, nil
}
