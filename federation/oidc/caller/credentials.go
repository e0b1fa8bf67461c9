package caller

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/jose"
)

// assertionType is the only value of client_assertion_type (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// credentials are what a request says about who sends it: exactly one method.
type credentials struct {
	method    string // AuthBasic, AuthPost, AuthPrivateKeyJWT for any assertion, AuthNone for none or a certificate
	clientID  string
	secrets   []string // spellings of the one secret
	assertion string
}

// readCredentials finds the one method that a request uses.
func readCredentials(r *http.Request, form url.Values) (credentials, error) {
	headers := r.Header.Values("Authorization")
	secret, assertion := form.Get("client_secret"), form.Get("client_assertion")
	used := 0
	for _, is := range []bool{len(headers) > 0, secret != "", assertion != ""} {
		if is {
			used++
		}
	}
	c := credentials{method: federation.AuthNone, clientID: form.Get("client_id")}
	switch {
	case used > 1 || len(headers) > 1:
		return c, errMethods
	case len(headers) == 1:
		return withHeader(c, headers[0])
	case assertion != "" || form.Has("client_assertion_type"):
		return withAssertion(c, assertion, form.Get("client_assertion_type"))
	case c.clientID == "":
		return c, unknown("No client authentication was included.")
	case secret != "":
		c.method, c.secrets = federation.AuthPost, []string{secret}
	}
	return c, nil
}

func withHeader(c credentials, header string) (credentials, error) {
	basic, ok := readBasic(header)
	if !ok {
		return c, unknown("The Authorization header cannot be read.")
	}
	if c.clientID != "" && c.clientID != basic.clientID {
		return c, errMethods
	}
	return basic, nil
}

// withAssertion takes the client from the assertion, for its signature to prove; a
// client_id beside it must agree (RFC 7521, section 4.2).
func withAssertion(c credentials, assertion, kind string) (credentials, error) {
	if kind != assertionType {
		return c, unknown("The client_assertion_type must be " + assertionType + ".")
	}
	_, payload, err := jose.Peek(assertion)
	if err != nil {
		return c, unknown("The client_assertion cannot be accepted: " + err.Error() + ".")
	}
	claims, err := jose.ParseClaims(payload)
	if err != nil {
		return c, unknown("The client_assertion cannot be accepted: " + err.Error() + ".")
	}
	if c.clientID != "" && c.clientID != claims.Subject {
		return c, unknown("The client_assertion is of another application than client_id.")
	}
	return credentials{method: federation.AuthPrivateKeyJWT, clientID: claims.Subject, assertion: assertion}, nil
}

// readBasic reads HTTP Basic credentials, whose parts are form-encoded (RFC 6749,
// section 2.3.1). Many clients forget to encode; the secret is therefore also
// tried as it stands.
func readBasic(header string) (credentials, bool) {
	scheme, blob, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(blob) > 2048 {
		return credentials{}, false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(blob))
	if err != nil {
		return credentials{}, false
	}
	id, secret, ok := strings.Cut(string(raw), ":")
	if !ok || secret == "" {
		return credentials{}, false
	}
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	secrets := []string{secret}
	if plain, err := url.QueryUnescape(secret); err == nil && plain != secret {
		secrets = append(secrets, plain)
	}
	return credentials{method: federation.AuthBasic, clientID: id, secrets: secrets}, true
}
