package front

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	requestURN     = "urn:ietf:params:oauth:request_uri:" // RFC 9126, section 2.2
	requestPurpose = "oidc request"

	// maxSealed bounds a request_uri, in bytes: with it and a client_id the way back from
	// signing in stays below what a sign-in flow carries.
	maxSealed = 3700
)

// A Request is an authorization request that was accepted already, on its way through the
// browser: pushed (RFC 9126), or on its way back from signing in. It is stored nowhere.
type Request struct {
	Form    map[string][]string `cbor:"1,keyasint,omitempty"` // the parameters, client_id left out
	Family  family.ID           `cbor:"2,keyasint,omitempty"` // that every code made of it will spend
	Expires int64               `cbor:"3,keyasint,omitempty"` // Unix milliseconds
	Pushed  bool                `cbor:"4,keyasint,omitempty"` // the client had authenticated itself
	Signed  bool                `cbor:"5,keyasint,omitempty"` // the parameters are those of a signed request object
}

// Expired reports whether the request's time is over.
func (r *Request) Expired(now time.Time) bool { return now.UnixMilli() >= r.Expires }

// ErrTooLong: the request is too long to be carried in a URL.
var ErrTooLong = fmt.Errorf("request of more than %d bytes in its sealed form", maxSealed)

func requestContext(tenant, clientID string) []byte { return []byte(tenant + "\x00" + clientID) }

// Seal returns the request_uri of r for one client. It reports ErrTooLong, and errors of the ring.
func (r *Request) Seal(ring *seal.Ring, tenant, clientID string) (string, error) {
	plain, err := cbor.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	box, err := ring.Seal(ring.Passing(requestPurpose), plain, requestContext(tenant, clientID))
	if err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	if base64.RawURLEncoding.EncodedLen(len(box))+len(requestURN) > maxSealed {
		return "", ErrTooLong
	}
	return requestURN + base64.RawURLEncoding.EncodeToString(box), nil
}

// IsSealed reports whether uri claims to be one of ours; anything else is an address to fetch.
func IsSealed(uri string) bool { return strings.HasPrefix(uri, requestURN) }

var requestDecoder = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 8,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// Open is the inverse of Seal. It reports seal.ErrBox for what was not sealed for this
// tenant and client, and errors of the store; whether it has expired is the caller's question.
func Open(ring *seal.Ring, tenant, clientID, uri string) (*Request, error) {
	text, ok := strings.CutPrefix(uri, requestURN)
	if !ok || len(uri) > maxSealed {
		return nil, fmt.Errorf("request_uri of %d bytes: %w", len(uri), seal.ErrBox)
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("request_uri: %w", seal.ErrBox)
	}
	plain, err := ring.Open(ring.Passing(requestPurpose), box, requestContext(tenant, clientID))
	if err != nil {
		return nil, fmt.Errorf("request_uri: %w", err)
	}
	r := new(Request)
	if requestDecoder.Unmarshal(plain, r) != nil {
		return nil, fmt.Errorf("request_uri: %w", seal.ErrBox)
	}
	return r, nil
}

// Values are the parameters of r as the client with this ID sent them.
func (r *Request) Values(clientID string) url.Values {
	form := url.Values{"client_id": {clientID}}
	for name, values := range r.Form {
		form[name] = values
	}
	return form
}

// Carry sets the parameters. The client_id is not carried: the seal is bound to it.
func (r *Request) Carry(form url.Values) {
	r.Form = make(map[string][]string, len(form))
	for name, values := range form {
		if name != "client_id" {
			r.Form[name] = values
		}
	}
}
