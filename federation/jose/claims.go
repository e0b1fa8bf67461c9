package jose

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Claims are the registered claims of a JWT (RFC 7519, section 4.1). What is absent is zero.
type Claims struct {
	Issuer, Subject, ID        string
	Audience                   []string
	Expires, NotBefore, Issued time.Time
	// All are all claims as they stand in the token, the registered ones included.
	All map[string]json.RawMessage
}

const (
	maxAudience = 20
	maxText     = 1024 // bytes of iss, sub, jti and each audience
)

// ParseClaims reads a token's payload. Errors are ErrToken.
func ParseClaims(payload []byte) (*Claims, error) {
	if len(payload) > MaxSet {
		return nil, tokenFault("the claims are too long")
	}
	o, err := object(payload)
	if err != nil {
		return nil, tokenFault("the payload of the token is not a JSON object with each claim once")
	}
	c := &Claims{All: o}
	for name, into := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID} {
		s, ok := text(o, name)
		if !ok || len(s) > maxText {
			return nil, tokenFault("the claim " + name + " is not a short string")
		}
		*into = s
	}
	for name, into := range map[string]*time.Time{"exp": &c.Expires, "nbf": &c.NotBefore, "iat": &c.Issued} {
		t, ok := date(o, name)
		if !ok {
			return nil, tokenFault("the claim " + name + " is not a number of seconds since 1970")
		}
		*into = t
	}
	if c.Audience, err = audience(o["aud"]); err != nil {
		return nil, err
	}
	return c, nil
}

// date reads a NumericDate, which may have a fraction; a date that no clock will show is refused.
func date(o map[string]json.RawMessage, name string) (time.Time, bool) {
	raw, there := o[name]
	if !there {
		return time.Time{}, true
	}
	var n *float64
	if json.Unmarshal(raw, &n) != nil || n == nil || *n < 1 || *n > 1<<40 || math.IsNaN(*n) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(*n * 1000)), true
}

// audience reads one string or a list of them.
func audience(raw json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var one *string
	if json.Unmarshal(raw, &one) == nil && one != nil {
		if len(*one) > maxText {
			return nil, tokenFault("the claim aud is too long")
		}
		return []string{*one}, nil
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > maxAudience ||
		slices.ContainsFunc(list, func(s string) bool { return s == "" || len(s) > maxText }) {
		return nil, tokenFault("the claim aud is not a string or a short list of strings")
	}
	return list, nil
}

// Expected is what claims are held against. What is zero is not looked at, except that
// a token is never taken after exp or before nbf, and never without an exp.
type Expected struct {
	Now             time.Time
	Skew            time.Duration // by which clocks may differ; at most a minute is wise
	Issuer, Subject string
	// Audience are the names of whom it is for, any of which will do.
	Audience []string
	// OnlyAudience refuses a token that names anybody else as well.
	OnlyAudience bool
	// Life is how far ahead exp may be, and how old iat, if the token has one.
	Life time.Duration
	// ID demands a jti, of at most 255 bytes.
	ID bool
}

// Check holds the claims against what is expected. Errors are ErrToken.
func (c *Claims) Check(e Expected) error {
	switch {
	case e.Issuer != "" && c.Issuer != e.Issuer:
		return tokenFault("the claim iss is not the one that is expected here")
	case e.Subject != "" && c.Subject != e.Subject:
		return tokenFault("the claim sub is not the one that is expected here")
	case len(e.Audience) > 0 && !c.For(e.Audience...):
		return tokenFault("the claim aud does not name this server")
	case e.OnlyAudience && slices.ContainsFunc(c.Audience, func(a string) bool { return !slices.Contains(e.Audience, a) }):
		return tokenFault("the claim aud names others than this server")
	case c.Expires.IsZero():
		return tokenFault("the claim exp is missing")
	case !e.Now.Before(c.Expires.Add(e.Skew)):
		return tokenFault("the token has expired")
	case e.Life > 0 && c.Expires.After(e.Now.Add(e.Life+e.Skew)):
		return tokenFault("the claim exp is too far ahead")
	case !c.NotBefore.IsZero() && c.NotBefore.After(e.Now.Add(e.Skew)):
		return tokenFault("the token is not valid yet")
	case !c.Issued.IsZero() && c.Issued.After(e.Now.Add(e.Skew)):
		return tokenFault("the claim iat is in the future")
	case !c.Issued.IsZero() && e.Life > 0 && c.Issued.Before(e.Now.Add(-e.Life-e.Skew)):
		return tokenFault("the claim iat is too long ago")
	case e.ID && (c.ID == "" || len(c.ID) > 255):
		return tokenFault("the claim jti must have 1 to 255 bytes")
	}
	return nil
}

// For reports whether one of names is among the audience.
func (c *Claims) For(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.Audience, n) })
}

// Text returns a claim that must be a string; "" if it is absent or anything else.
func (c *Claims) Text(name string) string {
	s, _ := text(c.All, name)
	return s
}
