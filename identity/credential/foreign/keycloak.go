package foreign

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// A keycloakCredential is a credential of type password in an export of Keycloak. Since
// version 8 its two parts are JSON in a text; before, they stood in it.
type keycloakCredential struct {
	Type           string          `json:"type"`
	SecretData     json.RawMessage `json:"secretData"`
	CredentialData json.RawMessage `json:"credentialData"`

	keycloakData
	Salt  string `json:"salt"`
	Value string `json:"hashedSaltedValue"`
}

type keycloakSecret struct {
	Value string `json:"value"`
	Salt  string `json:"salt"`
}

type keycloakData struct {
	Iterations int                 `json:"hashIterations"`
	Algorithm  string              `json:"algorithm"`
	More       map[string][]string `json:"additionalParameters"`
}

// parseKeycloak reads the JSON of a credential, without its opening brace.
func parseKeycloak(rest string) (*Hash, error) {
	var c keycloakCredential
	if json.Unmarshal([]byte("{"+rest), &c) != nil || c.Type != "" && c.Type != "password" {
		return nil, ErrFormat
	}
	secret := keycloakSecret{Value: c.Value, Salt: c.Salt}
	if !nested(c.SecretData, &secret) || !nested(c.CredentialData, &c.keycloakData) {
		return nil, ErrFormat
	}
	salt, err1 := fromB64(secret.Salt)
	key, err2 := fromB64(secret.Value)
	if err1 != nil || err2 != nil || c.Iterations < 1 {
		return nil, ErrFormat
	}
	if c.Algorithm == "argon2" {
		return c.argon2(salt, key)
	}
	name, ok := strings.CutPrefix(c.Algorithm, "pbkdf2")
	for _, d := range digests {
		if ok && (name == "-"+d.name || name == "" && d.name == "sha1") {
			return newPBKDF2(d, min(c.Iterations, 1<<30), salt, key)
		}
	}
	return nil, ErrFormat
}

// nested reads JSON that stands in a text or as itself; nothing if there is none.
func nested(raw json.RawMessage, to any) bool {
	var text string
	switch {
	case len(raw) == 0:
		return true
	case json.Unmarshal(raw, &text) == nil:
		return json.Unmarshal([]byte(text), to) == nil
	}
	return json.Unmarshal(raw, to) == nil
}

func (d keycloakData) argon2(salt, key []byte) (*Hash, error) {
	one := func(name string) string {
		if v := d.More[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	mode, ok := map[string]argon2.Mode{"id": argon2.ID, "i": argon2.I, "d": argon2.D}[one("type")]
	if size := one("hashLength"); !ok || one("version") != "1.3" || size != "" && size != strconv.Itoa(len(key)) {
		return nil, ErrFormat
	}
	memory, err := cost(one("memory"))
	if err != nil {
		return nil, err
	}
	lanes, err := cost(one("parallelism"))
	if err != nil {
		return nil, err
	}
	return newArgon2("argon2"+one("type"), mode, memory, min(d.Iterations, 1<<30), lanes, salt, key)
}
