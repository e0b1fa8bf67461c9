package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// TokenPrefix begins every access token, so that people and scanners know one when they see it.
const TokenPrefix = "quis_pat_"

// Bounds of tokens.
const (
	minTokenRest = 16 // characters after the prefix, of a token made elsewhere
	maxToken     = 256
	maxTokenName = 100 // bytes
	maxTokens    = 100 // of one user
)

// A Token stands for a user at the API. Its value is known only to whoever holds it.
type Token struct {
	ID      string    `cbor:"1,keyasint,omitempty"`
	Tenant  string    `cbor:"2,keyasint,omitempty"`
	UserID  string    `cbor:"3,keyasint,omitempty"`
	Name    string    `cbor:"4,keyasint,omitempty"`
	Created time.Time `cbor:"5,keyasint,omitempty"`
	Expires time.Time `cbor:"6,keyasint,omitempty"` // zero: never
	Hash    []byte    `cbor:"7,keyasint,omitempty"` // SHA-256 of the value
	Scopes  []string  `cbor:"8,keyasint,omitempty"` // what it is good for: see Allows; none: everything
}

// Scopes of tokens: what a token is good for, of what its owner may do.
const (
	ScopeRead  = "read"  // looking at whatever the owner may look at
	ScopeWrite = "write" // everything
	ScopeMe    = "me"    // the owner's own account
)

// TokenScopes are all scopes, the least first.
var TokenScopes = []string{ScopeMe, ScopeRead, ScopeWrite}

// Allows reports whether t is good for a request that only looks, or for one that concerns
// nothing but the owner's own account.
func (t *Token) Allows(reads, own bool) bool {
	has := func(scope string) bool { return slices.Contains(t.Scopes, scope) }
	return len(t.Scopes) == 0 || has(ScopeWrite) || reads && has(ScopeRead) || own && has(ScopeMe)
}

// Tokens belong to tenants but are kept in one scope: the value alone must lead to its
// tenant. Listings go by owner, whose key begins with the tenant.
var (
	tokens = fsm.NewTable(61, "access_tokens", fsm.Spec[Token]{
		Key:     func(t *Token) fsm.Key { return fsm.K(string(t.Hash)) },
		Expires: func(t *Token) time.Time { return t.Expires },
	})
	tokenUse      = fsm.NewCounter(59, "access_token_use") // by ID, milliseconds since 1970
	tokensByOwner = tokens.Unique(1, "owner", func(t *Token) []fsm.Key {
		return []fsm.Key{fsm.K(t.Tenant, t.UserID, t.ID)}
	})
)

// CreateToken gives a user an access token and returns it with its value, which cannot be
// had again. It is good for the scopes; without any, for everything. An empty value is made here; a given one (from a bootstrap file) must begin
// with TokenPrefix and go on with at least 16 letters, digits, - or _. A zero expires is
// never. It reports identity.ErrInvalid, and fsm.ErrExists for a value in use.
//
// Before it gives scopes the caller has made sure that every member of the cluster honours them.
func CreateToken(tx *fsm.Tx, tenant, userID, name, value string, expires time.Time, scopes ...string) (*Token, string, error) {
	if value == "" {
		value = TokenPrefix + randomText(32)
	}
	if err := checkToken(tx, name, value, expires); err != nil {
		return nil, "", err
	}
	for _, scope := range scopes {
		if !slices.Contains(TokenScopes, scope) {
			return nil, "", identity.Invalid("scopes", "A token can have the scopes me, read and write.")
		}
	}
	n := 0
	for _, err := range ListTokens(tx, tenant, userID) {
		if err != nil {
			return nil, "", err
		}
		if n++; n >= maxTokens {
			return nil, "", identity.Invalid("", "This user has too many access tokens. Delete some first.")
		}
	}
	t := &Token{
		ID: identity.NewID(identity.PrefixToken), Tenant: tenant, UserID: userID,
		Name: identity.Printable(name, maxTokenName), Created: tx.Now(), Expires: expires, Hash: hashOf(value), Scopes: scopes,
	}
	if err := tokens.Insert(tx, t); err != nil {
		return nil, "", err
	}
	return t, value, appendToken(tx, event.TokenCreated, t, t.terms())
}

func checkToken(tx *fsm.Tx, name, value string, expires time.Time) error {
	rest, ok := strings.CutPrefix(value, TokenPrefix)
	switch {
	case !ok || len(value) > maxToken || len(rest) < minTokenRest || strings.Trim(rest, urlSafe) != "":
		return identity.Invalid("token", "A token is "+TokenPrefix+" and 16 or more letters, digits, - or _.")
	case strings.TrimSpace(name) == "":
		return identity.Invalid("name", "Give the token a name.")
	case !expires.IsZero() && !expires.After(tx.Now()):
		return identity.Invalid("expires_at", "The token would have expired already.")
	}
	return nil
}

const urlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TokenOwner returns the token with this value, or fsm.ErrNotFound. Whether its user and
// tenant still stand is for the caller to see.
func TokenOwner(tx *fsm.Tx, value string) (*Token, error) {
	if !strings.HasPrefix(value, TokenPrefix) || len(value) > maxToken {
		return nil, fmt.Errorf("access token: %w", fsm.ErrNotFound)
	}
	// Found by its digest: what a comparison could tell about it by its time is of no use.
	return tokens.Get(tx, fsm.Global, fsm.K(string(hashOf(value))))
}

// ListTokens yields a user's tokens in order of creation.
func ListTokens(tx *fsm.Tx, tenant, userID string) iter.Seq2[*Token, error] {
	return tokensByOwner.List(tx, fsm.Global, fsm.Prefix(fsm.K(tenant, userID)))
}

// DeleteToken ends a token, or reports fsm.ErrNotFound if the user has none with this ID.
func DeleteToken(tx *fsm.Tx, tenant, userID, id string) error {
	t, err := tokensByOwner.Get(tx, fsm.Global, fsm.K(tenant, userID, id))
	if err != nil {
		return err
	}
	if err := tokens.Delete(tx, fsm.Global, fsm.K(string(t.Hash))); err != nil {
		return err
	}
	if err := tokenUse.Delete(tx, fsm.Global, fsm.K(id)); err != nil {
		return err
	}
	return appendToken(tx, event.TokenDeleted, t, map[string]string{})
}

// RevokeTokens ends all tokens of a user.
func RevokeTokens(tx *fsm.Tx, tenant, userID string) error {
	var all []string
	for t, err := range ListTokens(tx, tenant, userID) {
		if err != nil {
			return err
		}
		all = append(all, t.ID)
	}
	for _, id := range all {
		if err := DeleteToken(tx, tenant, userID, id); err != nil {
			return err
		}
	}
	return nil
}

// TokenUsed writes down that a token was used now. It costs a log entry: once in a while is enough.
func TokenUsed(tx *fsm.Tx, t *Token) error {
	return tokenUse.Max(tx, fsm.Global, fsm.K(t.ID), tx.Now().UnixMilli(), t.Expires)
}

// TokenLastUsed returns when a token was used last, as far as that was written down; zero: never.
func TokenLastUsed(tx *fsm.Tx, id string) (time.Time, error) {
	ms, err := tokenUse.Get(tx, fsm.Global, fsm.K(id))
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
}

func deleteTokens(tx *fsm.Tx, owner fsm.Key) error {
	for t, err := range tokensByOwner.List(tx, fsm.Global, fsm.Prefix(owner)) {
		if err != nil {
			return err
		}
		if err := tokens.Delete(tx, fsm.Global, fsm.K(string(t.Hash))); err != nil {
			return err
		}
		if err := tokenUse.Delete(tx, fsm.Global, fsm.K(t.ID)); err != nil {
			return err
		}
	}
	return nil
}

func appendToken(tx *fsm.Tx, what event.Type, t *Token, data map[string]string) error {
	data["user_id"] = t.UserID
	return event.Append(tx, event.Event{Tenant: t.Tenant, Type: what, Target: event.Target{Kind: "token", ID: t.ID, Name: t.Name}, Data: data})
}

// terms are what the event says of a token that is made: scopes, apart by spaces, and, unless it never ends, when it does.
func (t *Token) terms() map[string]string {
	terms := map[string]string{"scopes": ScopeWrite}
	if len(t.Scopes) > 0 {
		terms["scopes"] = strings.Join(t.Scopes, " ")
	}
	if !t.Expires.IsZero() {
		terms["expires"] = t.Expires.UTC().Format(time.RFC3339)
	}
	return terms
}

func hashOf(value string) []byte {
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}

// randomText returns n random bytes in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
