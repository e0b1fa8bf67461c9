package claim

import (
	"fmt"
	"strings"
)

// reserved are claims whose meaning the protocols fix: whoever could map them could
// issue tokens for others, extend their life, or make one kind of token pass as
// another. The list is of what we write ourselves and of what readers of tokens trust:
// RFC 7519, 7800, 8417, 8693, 9068, 9396, 9449, 9701; OpenID Connect Core, its logout
// documents, and CIBA.
var reserved = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`
		iss sub aud exp iat nbf jti typ alg kid
		azp nonce at_hash c_hash s_hash rt_hash acr amr auth_time sid
		scope client_id fid cnf act may_act authorization_details
		events sub_id txn toe token_introspection active token_type
		sub_jwk _claim_names _claim_sources urn:openid:params:jwt:claim:auth_req_id`) {
		reserved[name] = true
	}
}

// Reserved reports whether a claim can never be mapped. Case does not matter: there are
// readers of JSON, Go's among them, to which Sub is sub.
func Reserved(name string) bool { return reserved[strings.ToLower(name)] }

// faultOfName says why a claim cannot be called so. Names are visible ASCII: of other
// letters some turn into ASCII when case is ignored.
func faultOfName(name string) string {
	switch {
	case name == "" || len(name) > maxClaimName || strings.ContainsFunc(name, notVisible):
		return fmt.Sprintf("must have 1 to %d visible ASCII characters without quotes and backslashes", maxClaimName)
	case Reserved(name):
		return name + " belongs to the protocol and cannot be mapped"
	}
	return ""
}
