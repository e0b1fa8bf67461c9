package try

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// meaning says in words what a claim is.
var meaning = map[string]string{
	"iss": "who issued it", "sub": "whom it is about", "aud": "for whom it is", "exp": "not after this", "nbf": "not before this",
	"iat": "when it was issued", "jti": "its own ID", "client_id": "application that it was issued to", "azp": "application that it was issued to",
	"scope": "what it allows", "auth_time": "when the person proved who they are", "nonce": "binds it to one request",
	"acr": "how surely they did", "amr": "by what means", "sid": "session, as logout tokens name it", "at_hash": "binds it to the access token",
	"c_hash": "binds it to the code", "s_hash": "binds it to the state", "cnf": "key that whoever uses it must hold", "act": "who acts for the subject",
	"may_act": "who may act for the subject", "events": "what it tells of", "fid": "authorization that it belongs to, in quis",
	"authorization_details": "what exactly it allows", "name": "full name", "given_name": "first name", "family_name": "last name",
	"preferred_username": "username", "email": "address", "email_verified": "whether the address was proved", "groups": "groups of the user",
	"roles": "roles in this application", "locale": "language", "updated_at": "when the profile last changed", "htm": "method of the request", "htu": "address of the request", "ath": "binds it to the access token",
}

// order is that in which claims are shown; others follow by name.
var order = []string{"iss", "sub", "aud", "azp", "client_id", "scope", "iat", "nbf", "exp", "auth_time", "acr", "amr", "sid", "nonce", "at_hash", "jti"}

func byPlace(a, b string) int {
	i, j := slices.Index(order, a), slices.Index(order, b)
	if i >= 0 && j >= 0 {
		return i - j
	}
	if i >= 0 || j >= 0 {
		return j - i // -1 is the one that is not in the list
	}
	return cmp.Compare(a, b)
}

// value is that of a claim, for a person.
func value(name string, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		if slices.Contains([]string{"exp", "nbf", "iat", "auth_time", "updated_at"}, name) {
			return time.Unix(int64(v), 0).Local().Format(time.DateTime)
		}
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = value("", e)
		}
		return strings.Join(parts, ", ")
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
