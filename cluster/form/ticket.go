package form

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

const (
	// DefaultTokenLife and MaxTokenLife are how long a join token may be used.
	DefaultTokenLife = time.Hour
	MaxTokenLife     = 24 * time.Hour

	remembered = 24 * time.Hour // how long a token is kept beyond its end, to say why it is refused
	retryable  = time.Hour      // how long the node that used a token may ask again
	maxTickets = 500            // tokens that may be kept at once
)

// A TokenRequest says what token is wanted.
type TokenRequest struct {
	TTL     time.Duration // at most MaxTokenLife; 0: DefaultTokenLife
	RootKey bool          // hand the root key to the node that joins
	By      string        // who asks, for the list
}

// A TokenInfo is what may be shown of a token.
type TokenInfo struct {
	ID        string
	By        string // who made it
	RootKey   bool
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero: not yet
	UsedBy    string    // the node
	RevokedAt time.Time // zero: it was not
}

// State says in one word how the token is at now: open, used, revoked or expired.
func (i *TokenInfo) State(now time.Time) string {
	switch {
	case !i.UsedAt.IsZero():
		return "used"
	case !i.RevokedAt.IsZero():
		return "revoked"
	case !now.Before(i.ExpiresAt):
		return "expired"
	}
	return "open"
}

// A ticket is the row of a join token.
type ticket struct {
	ID       string    `cbor:"1,keyasint,omitempty"`
	Verifier []byte    `cbor:"2,keyasint,omitempty"` // a hash of the secret
	By       string    `cbor:"3,keyasint,omitempty"`
	RootKey  bool      `cbor:"4,keyasint,omitempty"`
	Created  time.Time `cbor:"5,keyasint,omitempty"`
	Expires  time.Time `cbor:"6,keyasint,omitempty"`
	UsedAt   time.Time `cbor:"7,keyasint,omitempty"`
	UsedBy   string    `cbor:"8,keyasint,omitempty"`
	UsedKey  []byte    `cbor:"9,keyasint,omitempty"` // hash of the request for a certificate that came with it
	Revoked  time.Time `cbor:"10,keyasint,omitempty"`
}

var tickets = fsm.NewTable(151, "cluster_join_tokens", fsm.Spec[ticket]{
	Key:     func(t *ticket) fsm.Key { return fsm.K(t.ID) },
	Expires: func(t *ticket) time.Time { return t.Expires.Add(remembered) },
	Own:     true,
})

func (t *ticket) info() TokenInfo {
	return TokenInfo{ID: t.ID, By: t.By, RootKey: t.RootKey, CreatedAt: t.Created, ExpiresAt: t.Expires, UsedAt: t.UsedAt, UsedBy: t.UsedBy, RevokedAt: t.Revoked}
}

// News is what a [Hook] is told of.
type News struct {
	Kind   string // one of the constants below
	Target string // token ID, or fingerprint of an authority
	Data   map[string]string
}

// Kinds of news.
const (
	TokenCreated     = "cluster.token_created"
	TokenRevoked     = "cluster.token_revoked"
	TokenUsed        = "cluster.token_used"
	RotationStarted  = "cluster.ca_rotation_started"
	AuthorityRotated = "cluster.ca_rotated"
)

// A Hook is told of news in the transaction that makes them; nil hears nothing.
type Hook func(tx *fsm.Tx, n News) error

func (h Hook) tell(tx *fsm.Tx, kind, target string, data map[string]string) error {
	if h == nil {
		return nil
	}
	return h(tx, News{kind, target, data})
}

// CreateToken makes a join token of the cluster whose authority row is. The text is
// nowhere but in what it returns. It reports fsm.ErrRefused for a life that is too
// long, or when there are too many.
func CreateToken(ctx context.Context, db *fsm.DB, row *Authority, q TokenRequest, hook Hook) (Token, TokenInfo, error) {
	if q.TTL == 0 {
		q.TTL = DefaultTokenLife
	}
	if q.TTL < time.Second || q.TTL > MaxTokenLife {
		return Token{}, TokenInfo{}, fmt.Errorf("create join token: a life of %s is not between 1s and %s: %w", q.TTL, MaxTokenLife, fsm.ErrRefused)
	}
	issuer, err := row.issuer()
	if err != nil {
		return Token{}, TokenInfo{}, err
	}
	t, err := newToken(row.ClusterID, issuer, q.RootKey)
	if err != nil {
		return Token{}, TokenInfo{}, err
	}
	verifier := t.verifier()
	var info TokenInfo
	err = db.Update(ctx, func(tx *fsm.Tx) error {
		kept := 0
		for _, err := range tickets.List(tx, fsm.Global) {
			if kept++; err != nil {
				return err
			}
		}
		if kept >= maxTickets {
			return fmt.Errorf("there are %d join tokens, and more are not kept: revoke some, or wait until they expire: %w", kept, fsm.ErrRefused)
		}
		r := &ticket{ID: t.ID(), Verifier: verifier[:], By: q.By, RootKey: q.RootKey, Created: tx.Now(), Expires: tx.Now().Add(q.TTL)}
		info = r.info()
		if err := tickets.Insert(tx, r); err != nil {
			return err
		}
		return hook.tell(tx, TokenCreated, r.ID, map[string]string{"expires": r.Expires.UTC().Format(time.RFC3339), "root_key": fmt.Sprint(r.RootKey)})
	})
	if err != nil {
		return Token{}, TokenInfo{}, fmt.Errorf("create join token: %w", err)
	}
	return t, info, nil
}

// ListTokens returns the tokens that are kept: open ones, and others for a day after their end.
func ListTokens(ctx context.Context, db *fsm.DB) ([]TokenInfo, error) {
	out := []TokenInfo{}
	err := db.View(ctx, func(tx *fsm.Tx) error {
		for t, err := range tickets.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			out = append(out, t.info())
		}
		return nil
	})
	return out, err
}

// RevokeToken makes a token worthless. It reports fsm.ErrNotFound for one that is not
// kept, and fsm.ErrConflict for one that was used: then the node that has used it cannot
// come again by it either, but is a member.
func RevokeToken(ctx context.Context, db *fsm.DB, id string, hook Hook) error {
	usedBy := ""
	err := db.Update(ctx, func(tx *fsm.Tx) error {
		t, err := tickets.Get(tx, fsm.Global, fsm.K(id))
		if err != nil {
			return fmt.Errorf("revoke join token: %w", err)
		}
		usedBy = t.UsedBy
		if !t.Revoked.IsZero() {
			return nil
		}
		t.Revoked = tx.Now()
		if err := tickets.Put(tx, t); err != nil {
			return err
		}
		return hook.tell(tx, TokenRevoked, t.ID, nil)
	})
	if err == nil && usedBy != "" {
		err = fmt.Errorf("revoke join token: node %s has used it, and cannot again: remove that node, too, and if it is not trusted, rotate the authority (quis cluster ca rotate) and replace the root key: %w", usedBy, fsm.ErrConflict)
	}
	return err
}

const another = "make another on a node of the cluster with `quis cluster token`"

// fault says why t cannot be used now by the node whose request for a certificate is hashed in key, or nothing.
func (t *ticket) fault(now time.Time, node string, key []byte) string {
	again := t.UsedBy == node && subtle.ConstantTimeCompare(t.UsedKey, key) == 1 && now.Before(t.UsedAt.Add(retryable))
	switch {
	case !t.Revoked.IsZero():
		return fmt.Sprintf("join token %s was revoked at %s: %s", t.ID, stamp(t.Revoked), another)
	case !t.UsedAt.IsZero() && !again:
		return fmt.Sprintf("join token %s was used at %s by node %s, and works only once: %s; if that was not meant, revoke it and remove node %s", t.ID, stamp(t.UsedAt), t.UsedBy, another, t.UsedBy)
	case t.UsedAt.IsZero() && !now.Before(t.Expires):
		return fmt.Sprintf("join token %s expired at %s: %s", t.ID, stamp(t.Expires), another)
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// A Use is the presentation of a token by a node that wants in.
type Use struct {
	ID      string // of the token
	Secret  []byte
	Node    string
	Request []byte // PKCS #10
}

// UseToken marks a token as used, or reports a wire.Fault that says why it cannot be. The
// same node may come again with the same request: its answer may have been lost. It
// reports whether the token hands over the root key.
func UseToken(ctx context.Context, db *fsm.DB, u Use, hook Hook) (rootKey bool, err error) {
	err = db.Update(ctx, func(tx *fsm.Tx) error {
		t, err := u.ticket(tx)
		if err != nil {
			return err
		}
		rootKey = t.RootKey
		if !t.UsedAt.IsZero() {
			return nil
		}
		key := sha256.Sum256(u.Request)
		t.UsedAt, t.UsedBy, t.UsedKey = tx.Now(), u.Node, key[:]
		if err := tickets.Put(tx, t); err != nil {
			return err
		}
		return hook.tell(tx, TokenUsed, t.ID, map[string]string{"node": u.Node, "root_key": fmt.Sprint(t.RootKey)})
	})
	return rootKey, err
}

// CheckToken reports what UseToken would, as far as this node's store knows, and uses
// nothing: before anything is done for somebody whose token is worth nothing any more.
func CheckToken(ctx context.Context, db *fsm.DB, u Use) error {
	return db.View(ctx, func(tx *fsm.Tx) error {
		_, err := u.ticket(tx)
		return err
	})
}

// ticket returns the row of the token if it may be used so now.
func (u *Use) ticket(tx *fsm.Tx) (*ticket, error) {
	var given Token
	if len(u.Secret) != secretSize {
		return nil, &wire.Fault{Code: CodeRefused, Detail: "join token: malformed"}
	}
	copy(given.secret[:], u.Secret)
	verifier, key := given.verifier(), sha256.Sum256(u.Request)
	t, err := tickets.Get(tx, fsm.Global, fsm.K(u.ID))
	if errors.Is(err, fsm.ErrNotFound) || err == nil && subtle.ConstantTimeCompare(t.Verifier, verifier[:]) != 1 {
		return nil, &wire.Fault{Code: CodeRefused, Detail: unknownToken}
	}
	if err != nil {
		return nil, err
	}
	if fault := t.fault(tx.Now(), u.Node, key[:]); fault != "" {
		return nil, &wire.Fault{Code: CodeRefused, Detail: fault}
	}
	return t, nil
}

const unknownToken = "the cluster does not know this join token (it keeps them for a day after their end): " + another

// Voucher returns what a member needs to speak with whoever claims to have the token id:
// see wire.Voucher. A miss is looked at again with the leader.
func Voucher(ctx context.Context, db *fsm.DB, id string) (v wire.Voucher, err error) {
	err = db.Read(ctx, func(tx *fsm.Tx) error {
		t, err := tickets.Get(tx, fsm.Global, fsm.K(id))
		if err == nil {
			v.Known = copy(v.Key[:], t.Verifier) == len(v.Key)
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = nil
	}
	return v, err
}
