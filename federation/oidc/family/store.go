package family

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

// The kinds of refusal; compare with errors.Is.
var (
	ErrDead       = errors.New("family is dead")                                // or what it hangs on
	ErrSpent      = errors.New("code was exchanged before")                     // its family is revoked now
	ErrReused     = errors.New("refresh token was used before")                 // its family is revoked now
	ErrNotAllowed = errors.New("application may not do this")                   // or its user may not use it
	ErrWider      = errors.New("more than was granted")                         // scope or resource
	ErrKey        = errors.New("not from the holder of the key it is bound to") // DPoP key or TLS certificate
)

// A Config says what a Store works with; DB, Ring and Sessions are needed.
type Config struct {
	DB       *fsm.DB
	Ring     *seal.Ring
	Sessions *session.Store

	// What holds of applications that do not say otherwise.
	Grace    time.Duration // how long a traded refresh token yields its successor again; default 30 s
	Idle     time.Duration // how long a refresh token is good unused; default 30 days
	Absolute time.Duration // how long a family lives at most; default 90 days
}

// A Store begins, rotates and looks at families.
type Store struct {
	db       *fsm.DB
	ring     *seal.Ring
	sessions *session.Store

	grace, idle, absolute time.Duration
}

// New returns a Store.
func New(c Config) *Store {
	return &Store{
		db: c.DB, ring: c.Ring, sessions: c.Sessions,
		grace: usual(c.Grace, 30*time.Second), idle: usual(c.Idle, 30*24*time.Hour), absolute: usual(c.Absolute, 90*24*time.Hour),
	}
}

func usual(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
