package caller

import (
	"context"
	"errors"

	"github.com/quis-idp/quis/federation/jose"
)

// Remote are JWK sets by their URLs, as a cache keeps them.
type Remote interface {
	// Get returns the set at url, at most as old as a cache allows.
	Get(ctx context.Context, url string) (*jose.Set, error)
	// Renew is Get for who misses a key in what Get returned.
	Renew(ctx context.Context, url string) (*jose.Set, error)
}

// Sets finds the public keys of others: as they are registered, or at the URL that is.
type Sets struct{ remote Remote }

// NewSets returns a Sets; without remote, only registered keys are found.
func NewSets(remote Remote) *Sets { return &Sets{remote} }

// Of returns a key set: jwks itself, else what is at uri. Errors are *Fault and say to whom
// the set belongs what is wrong with it.
func (s *Sets) Of(ctx context.Context, jwks []byte, uri string, renew bool) (*jose.Set, error) {
	switch {
	case len(jwks) > 0:
		set, err := jose.ParseSet(jwks)
		if err != nil {
			return nil, unknown("The registered keys cannot be used: " + err.Error() + ".")
		}
		return set, nil
	case uri == "":
		return nil, unknown("No keys are registered for the application.")
	case s.remote == nil:
		return nil, unknown("Keys cannot be fetched here.")
	}
	ask := s.remote.Get
	if renew {
		ask = s.remote.Renew
	}
	set, err := ask(ctx, uri)
	if err != nil {
		return nil, unknown("The registered jwks_uri is of no use: " + plain(err.Error()) + ".")
	}
	return set, nil
}

// Verify is rule.Verify with the keys of jwks or uri. Keys that are fetched are fetched
// again if the token names one that is not among them. Errors are *Fault or jose.ErrToken.
func (s *Sets) Verify(ctx context.Context, rule jose.Rule, jwks []byte, uri, token string) (*jose.Token, error) {
	set, err := s.Of(ctx, jwks, uri, false)
	if err != nil {
		return nil, err
	}
	rule.Keys = set
	t, err := rule.Verify(token)
	if !errors.Is(err, jose.ErrNoKey) || len(jwks) > 0 {
		return t, err
	}
	if rule.Keys, err = s.Of(ctx, jwks, uri, true); err != nil {
		return nil, err
	}
	return rule.Verify(token)
}

// plain keeps to what an error description may hold (RFC 6749, section 5.2).
func plain(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			b[i] = '?'
		}
	}
	return string(b)
}
