package session

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/notify/push"
)

// Tables are the definitions that a store needs for sessions, and what goes with them.
var Tables = slices.Concat([]fsm.Definition{sessions, lastSeen, impersonations, endings, lastSignin}, push.Tables)

// A Session is one signed-in browser of one user.
type Session struct {
	ID        string    `cbor:"1,keyasint,omitempty"`
	Tenant    string    `cbor:"2,keyasint,omitempty"`
	UserID    string    `cbor:"3,keyasint,omitempty"`
	AuthTime  time.Time `cbor:"4,keyasint,omitempty"` // when the person last proved who they are
	AMR       []string  `cbor:"5,keyasint,omitempty"` // how; RFC 8176
	ACR       string    `cbor:"6,keyasint,omitempty"` // how surely; OIDC Core §2
	IP        string    `cbor:"7,keyasint,omitempty"` // at AuthTime
	UserAgent string    `cbor:"8,keyasint,omitempty"` // at AuthTime
	Created   time.Time `cbor:"9,keyasint,omitempty"`
	Expires   time.Time `cbor:"10,keyasint,omitempty"` // absolute: activity does not move it; Find and the listings say sooner if the tenant has since decided so

	SecretHash []byte             `cbor:"11,keyasint,omitempty" json:"-"` // SHA-256 of the cookie's secret
	LastSeen   time.Time          `cbor:"-"`                              // filled by Find and the listings
	Factors    []assurance.Factor `cbor:"12,keyasint,omitempty"`          // what was proved, when; AMR and ACR say it in short
	Remembered bool               `cbor:"13,keyasint,omitempty"`          // the person asked to stay signed in

	Impersonation *Impersonation `cbor:"14,keyasint,omitempty"` // not nil: somebody else acts in it
}

var (
	sessions = fsm.NewTable(70, "sessions", fsm.Spec[Session]{
		Scope:     func(s *Session) fsm.Scope { return fsm.Scope(s.Tenant) },
		Key:       func(s *Session) fsm.Key { return fsm.K(s.ID) },
		Expires:   func(s *Session) time.Time { return s.Expires },
		Transient: true,
	})
	sessionsByUser = sessions.Index(1, "user", func(s *Session) []fsm.Key { return []fsm.Key{fsm.K(s.UserID)} })
	lastSignin     = fsm.NewCounter(81, "last_signin")                   // milliseconds since 1970, by user
	lastSeen       = fsm.NewCounter(71, "session_last_seen").Transient() // milliseconds since 1970
)

// A Started session is one whose cookie can be made once its transaction has been applied.
type Started struct {
	Session Session
	secret  [secretSize]byte
	index   uint64
}

// Start adds a session for s.UserID, with s's tenant and factors, and Remembered if the
// tenant offers that; everything else is set here. Make its cookie with Cookie after the
// transaction.
func (st *Store) Start(tx *fsm.Tx, s Session) (*Started, error) {
	if s.Tenant == "" || s.UserID == "" {
		return nil, fmt.Errorf("start session: tenant and user are needed: %w", identity.ErrInvalid)
	}
	s.ID, s.Created, s.Expires, s.Impersonation = identity.NewID(identity.PrefixSession), tx.Now(), time.Time{}, nil
	return st.write(tx, s, event.SessionStarted)
}

// Renew is Start for a person who has proved again who they are in a browser with
// session id: the session stays, with what hangs on it and the factors that were not
// proved anew, but gets a new secret, a new AuthTime and a new lifetime. If that session is gone, another user's, or one
// in which somebody else acts, it is Start, and that session ends.
func (st *Store) Renew(tx *fsm.Tx, id string, s Session) (*Started, error) {
	old, err := find(tx, s.Tenant, id)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return st.Start(tx, s)
	}
	if old.UserID != s.UserID || old.Impersonation != nil {
		if err := End(tx, s.Tenant, id); err != nil {
			return nil, err
		}
		return st.Start(tx, s)
	}
	s.ID, s.Created, s.Expires, s.Impersonation = old.ID, old.Created, time.Time{}, nil
	s.Factors = assurance.Merge(old.Factors, s.Factors)
	started, err := st.write(tx, s, event.SessionRenewed)
	if err != nil {
		return nil, err
	}
	return started, push.Prolong(tx, s.Tenant, s.UserID, s.ID, started.Session.Expires)
}

func (st *Store) write(tx *fsm.Tx, s Session, t event.Type) (*Started, error) {
	if len(s.Factors) > 0 {
		s.Factors = assurance.Told(s.Factors)
		s.AMR, s.ACR = assurance.AMR(s.Factors), assurance.Of(s.Factors).ACR()
	}
	r := identity.RequestFrom(tx.Context())
	s.IP, s.UserAgent = identity.Printable(r.IP, maxIP), identity.Printable(r.UserAgent, maxUserAgent)
	l, err := lifetimeOf(tx, s.Tenant)
	if err != nil {
		return nil, err
	}
	s.AuthTime, s.Remembered = tx.Now(), l.remembers(&s)
	s.Expires = l.end(&s)
	started := &Started{}
	rand.Read(started.secret[:])
	hash := sha256.Sum256(started.secret[:])
	s.SecretHash = hash[:]
	started.Session = s
	if err := sessions.Put(tx, &s); err != nil {
		return nil, err
	}
	if s.Impersonation == nil {
		if err := lastSignin.Max(tx, fsm.Scope(s.Tenant), fsm.K(s.UserID), tx.Now().UnixMilli(), time.Time{}); err != nil {
			return nil, err
		}
	}
	tx.OnCommit(func(index uint64) { started.index = index })
	e := event.Event{
		Tenant: s.Tenant, Type: t, Target: s.target(), Actor: s.Actor(),
		Data: map[string]string{"user_id": s.UserID, "acr": s.ACR, "amr": fmt.Sprint(s.AMR)},
	}
	if by := s.Impersonation; by != nil {
		e.Data = map[string]string{
			"user_id": s.UserID, "impersonator": by.UserID, "reason": by.Reason, "until": s.Expires.UTC().Format(time.RFC3339),
		}
	}
	return started, event.Append(tx, e)
}

// Actor is who acts in s, for events.
func (s *Session) Actor() identity.Actor {
	return identity.Actor{Kind: identity.ActorUser, ID: s.UserID, SessionID: s.ID, Impersonator: s.Impersonator()}
}

// Impersonator is the ID of who acts in the name of the session's user; empty: nobody does.
func (s *Session) Impersonator() string {
	if s.Impersonation == nil {
		return ""
	}
	return s.Impersonation.UserID
}

// Level is how surely the session's person is known.
func (s *Session) Level() assurance.Level {
	if len(s.Factors) == 0 { // of the first release, which knew passwords only
		return assurance.LevelOf(s.ACR)
	}
	return assurance.Of(s.Factors)
}

// Proofs are the factors of s; a session of the first release tells of its password only in
// AMR, and one that was begun elsewhere tells nothing.
func (s *Session) Proofs() []assurance.Factor {
	switch {
	case len(s.Factors) > 0:
		return s.Factors
	case s.Level() > 0:
		return []assurance.Factor{{Method: assurance.Password, At: s.AuthTime}}
	}
	return []assurance.Factor{{Method: assurance.Federated, At: s.AuthTime}}
}

// Prove adds to a session a factor that its person has proved in it just now, by setting it
// up. It is no new sign-in: cookie, AuthTime and end stay.
func Prove(tx *fsm.Tx, tenant, id string, fresh assurance.Factor) error {
	s, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	fresh.At = tx.Now()
	s.Factors = assurance.Told(assurance.Merge(s.Proofs(), []assurance.Factor{fresh}))
	s.AMR, s.ACR = assurance.AMR(s.Factors), assurance.Of(s.Factors).ACR()
	return sessions.Put(tx, s)
}

// Disown takes out of a user's sessions what was proved with a credential, of the method m, that is theirs no more, by id (see
// [assurance.Factor.With]): whoever has it, and came
// in with it, is no better known than by the rest. A session that rests on nothing else ends, but the one in which
// it is removed, which stays for what asks for no recent proof.
func Disown(tx *fsm.Tx, tenant, user string, m assurance.Method, id string) error {
	gone := func(f assurance.Factor) bool { return f.With(m, id) }
	var touched []*Session
	for s, err := range sessionsByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return err
		}
		if slices.ContainsFunc(s.Factors, gone) {
			touched = append(touched, s)
		}
	}
	if len(touched) > 0 { // an administrator may act as somebody from there
		if err := endActing(tx, tenant, user); err != nil {
			return err
		}
	}
	for _, s := range touched {
		s.Factors = slices.DeleteFunc(slices.Clone(s.Factors), gone)
		if assurance.Of(s.Factors) == 0 {
			if s.ID != identity.ActorFrom(tx.Context()).SessionID {
				if err := End(tx, tenant, s.ID); err != nil {
					return err
				}
				continue
			}
			s.Factors = []assurance.Factor{{Method: assurance.Removed}}
		}
		s.AMR, s.ACR = assurance.AMR(s.Factors), assurance.Of(s.Factors).ACR()
		if err := sessions.Put(tx, s); err != nil {
			return err
		}
	}
	return nil
}

// LastSignin returns when a user last signed in; zero if never.
func LastSignin(tx *fsm.Tx, tenant, user string) (time.Time, error) {
	ms, err := lastSignin.Get(tx, fsm.Scope(tenant), fsm.K(user))
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
}

// DeleteAllOf forgets what is counted of a user who is being deleted, whose sessions are void by themselves.
func DeleteAllOf(tx *fsm.Tx, tenant, user string) error {
	if err := endings.Delete(tx, fsm.Scope(tenant), fsm.K(user)); err != nil {
		return err
	}
	return lastSignin.Delete(tx, fsm.Scope(tenant), fsm.K(user))
}

// Get returns a session that has neither expired nor been ended, or fsm.ErrNotFound.
// It knows nothing of idleness or of the user; see Store.Live.
func Get(tx *fsm.Tx, tenant, id string) (*Session, error) {
	return sessions.Get(tx, fsm.Scope(tenant), fsm.K(id))
}

// End ends a session; one that is gone already is no error and no event.
func End(tx *fsm.Tx, tenant, id string) error {
	s, err := find(tx, tenant, id)
	if err != nil || s == nil {
		return err
	}
	if err := sessions.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	if err := lastSeen.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	if err := push.Forget(tx, tenant, s.UserID, id); err != nil {
		return err
	}
	if s.Impersonation != nil {
		if err := ended(tx, tenant, id, "ended"); err != nil {
			return err
		}
	}
	return event.Append(tx, event.Event{
		Tenant: tenant, Type: event.SessionEnded, Target: s.target(), Data: map[string]string{"user_id": s.UserID},
	})
}

// EndAllOf ends every session of a user and returns how many there were.
func EndAllOf(tx *fsm.Tx, tenant, user string) (int, error) {
	return EndOthersOf(tx, tenant, user, "")
}

// EndOthersOf ends every session of a user but the one with the ID keep, and returns how many there
// were. If it is an administrator, all in which they act as somebody else end with them: whoever began one
// from where they should not have been is in it still.
func EndOthersOf(tx *fsm.Tx, tenant, user, keep string) (int, error) {
	ids, err := idsOf(tx, tenant, user)
	if err != nil {
		return 0, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == keep })
	for _, id := range ids {
		if err := End(tx, tenant, id); err != nil {
			return 0, err
		}
	}
	return len(ids), endActing(tx, tenant, user)
}

// MaxPerUser is about how many sessions one user can have; the oldest give way.
const MaxPerUser = 100

const maxExcess = 10 // sessions that end with one that begins

// Excess returns the oldest sessions of a user that have not expired, so many that keep are
// left, ten at most: whoever starts a session ends these with it. It bounds what one person can pile
// up, and with that what EndAllOf must do in one transaction. It counts entries of the index, since
// reading a hundred rows would be a third of what signing in costs. Those of rows that await their
// purge are told apart only where more than one is too many: who has as many as may be at every sign-in
// pays for one row. So the oldest can go some seconds before it must.
func Excess(tx *fsm.Tx, tenant, user string, keep int) ([]string, error) {
	var keys []fsm.Key
	for key, err := range sessionsByUser.Keys(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, *key)
	}
	if len(keys)-keep > 1 {
		var err error
		if keys, err = unexpired(tx, tenant, keys); err != nil {
			return nil, err
		}
	}
	var ids []string
	for _, key := range keys[:min(max(len(keys)-keep, 0), maxExcess)] {
		s, err := sessions.Get(tx, fsm.Scope(tenant), key)
		if errors.Is(err, fsm.ErrNotFound) {
			continue // expired
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, s.ID)
	}
	return ids, nil
}

// unexpired keeps those of keys whose rows have not expired, and decodes none.
func unexpired(tx *fsm.Tx, tenant string, keys []fsm.Key) (stand []fsm.Key, err error) {
	for _, key := range keys {
		has, err := sessions.Has(tx, fsm.Scope(tenant), key)
		if err != nil {
			return nil, err
		}
		if has {
			stand = append(stand, key)
		}
	}
	return stand, nil
}

// idsOf lists the IDs of a user's sessions, oldest first.
func idsOf(tx *fsm.Tx, tenant, user string) ([]string, error) {
	var ids []string
	for s, err := range sessionsByUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(user))) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, s.ID)
	}
	return ids, nil
}

// find is Get where a miss is an answer and no reason to catch up.
func find(tx *fsm.Tx, tenant, id string) (*Session, error) {
	s, err := Get(tx, tenant, id)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

func (s *Session) target() event.Target { return event.Target{Kind: "session", ID: s.ID} }
