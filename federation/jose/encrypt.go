package jose

import (
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// KeyAlgs are the key management algorithms of what is encrypted to an application (RFC
// 7518, section 4.1). RSA1_5 is not among them: whoever decrypts it is an oracle.
var KeyAlgs = []string{"RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"}

// ContentAlgs are the content encryption algorithms (RFC 7518, section 5.1).
var ContentAlgs = []string{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"}

// DefaultContent is the enc of whoever names none (OpenID Connect Registration, section 2).
const DefaultContent = "A128CBC-HS256"

// An Encryption says how something is encrypted.
type Encryption struct {
	Alg string // one of KeyAlgs
	Enc string // one of ContentAlgs; empty: DefaultContent
	// Type and ContentType are typ and cty of the header; "JWT" as cty says that the payload is a JWT.
	Type, ContentType string
}

// Encrypt returns payload as a JWE in compact form for the one who has the private key
// of one of the set's keys. Without a fitting key, or with algorithms that are not
// offered, the error is ErrKeys.
func (e Encryption) Encrypt(to *Set, payload []byte) (string, error) {
	if e.Enc == "" {
		e.Enc = DefaultContent
	}
	if !slices.Contains(KeyAlgs, e.Alg) || !slices.Contains(ContentAlgs, e.Enc) {
		return "", keyFault("the encryption algorithm is not offered")
	}
	key, err := to.Encrypting(e.Alg)
	if err != nil {
		return "", err
	}
	opts := &jose.EncrypterOptions{}
	if e.Type != "" {
		opts = opts.WithType(jose.ContentType(e.Type))
	}
	if e.ContentType != "" {
		opts = opts.WithContentType(jose.ContentType(e.ContentType))
	}
	to1 := jose.Recipient{Algorithm: jose.KeyAlgorithm(e.Alg), Key: key.Public, KeyID: key.ID}
	enc, err := jose.NewEncrypter(jose.ContentEncryption(e.Enc), to1, opts)
	if err != nil {
		return "", keyFault("the key cannot be encrypted to with this algorithm")
	}
	box, err := enc.Encrypt(payload)
	if err != nil {
		return "", keyFault("encryption failed")
	}
	return box.CompactSerialize()
}
