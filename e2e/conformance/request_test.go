package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
)

// unsigned makes a request object of alg none (RFC 9101, section 4).
func unsigned(params url.Values) string {
	claims := map[string]string{"iss": params.Get("client_id")}
	for name := range params {
		claims[name] = params.Get(name)
	}
	b, _ := json.Marshal(claims) // texts only
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc(b) + "."
}
