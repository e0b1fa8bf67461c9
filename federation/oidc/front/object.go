package front

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
)

const maxParameters = 100

// ofObject are the claims that are about a request object, and no parameters (RFC 9101, section 4).
var ofObject = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "sub"}

// structured are the parameters whose value is JSON; in a request object it stands there as it is.
var structured = []string{"claims", "authorization_details"}

// ObjectFault is what is wrong with a request object, in plain ASCII for its maker to read.
type ObjectFault string

// Error returns the sentence.
func (f ObjectFault) Error() string { return string(f) }

// Parameters returns the authorization request that the claims of a verified request
// object are (RFC 9101, section 4). Errors are ObjectFault: an object that is not
// clientID's, that holds another one, or is a client assertion (section 10.8) among them.
func Parameters(claims map[string]json.RawMessage, clientID string) (url.Values, error) {
	if len(claims) > maxParameters {
		return nil, ObjectFault("The request object has too many claims.")
	}
	form := url.Values{}
	for name, raw := range claims {
		switch {
		case name == "request" || name == "request_uri":
			return nil, ObjectFault("The request object must not hold another one.")
		case slices.Contains(ofObject, name):
			continue
		}
		values, ok := parameter(name, raw)
		if !ok {
			return nil, ObjectFault(fmt.Sprintf("The claim %s of the request object is of a type that no parameter has.", plain(name)))
		}
		form[name] = values
	}
	if form.Get("client_id") != clientID {
		return nil, ObjectFault("The client_id of the request object is missing or not the one of the request.")
	}
	var subject string
	if raw, ok := claims["sub"]; ok && json.Unmarshal(raw, &subject) == nil && subject == clientID {
		return nil, ObjectFault("The request object has the client as its subject: that is a client assertion.")
	}
	return form, nil
}

// parameter spells a claim as a form has it.
func parameter(name string, raw json.RawMessage) (values []string, ok bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return []string{text}, true
	}
	if slices.Contains(structured, name) {
		var b bytes.Buffer
		err := json.Compact(&b, raw)
		return []string{b.String()}, err == nil && b.Len() > 0 && (b.Bytes()[0] == '{' || b.Bytes()[0] == '[')
	}
	if name == "resource" { // RFC 8707, section 2: the one parameter that may be given more than once
		err := json.Unmarshal(raw, &values)
		return values, err == nil && len(values) > 0
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return []string{strconv.FormatInt(n, 10)}, true
	}
	var flag *bool
	if json.Unmarshal(raw, &flag) == nil && flag != nil {
		return []string{strconv.FormatBool(*flag)}, true
	}
	return nil, false
}

// plain is a name as an error description may repeat it.
func plain(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	b := []byte(name)
	for i, c := range b {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			b[i] = '?'
		}
	}
	return string(b)
}
