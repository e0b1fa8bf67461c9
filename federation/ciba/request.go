package ciba

import (
	"fmt"
	"iter"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

const (
	// DefaultLifetime is how long a user has unless the application asks for another time,
	// which is kept between MinLifetime and MaxLifetime.
	DefaultLifetime = 5 * time.Minute
	MinLifetime     = 30 * time.Second
	MaxLifetime     = 10 * time.Minute

	// MaxPending is how many undecided requests a user can have, of all applications
	// together: more would be noise in which one is approved to be rid of it.
	MaxPending = 5
	maxRows    = 4 * MaxPending // decided ones that no client has come for included
)

// Limit bounds what one application may begin, for whomever. Its servers share addresses.
var Limit = poll.Limit{Kind: poll.CIBA, PerApplication: 1000}

// A State is how far a request has come. One that was exchanged has no row.
type State uint8

// The states.
const (
	Pending State = iota + 1
	Approved
	Denied
)

// ErrDecided: the user has approved or denied it already.
var ErrDecided = fmt.Errorf("request was decided: %w", fsm.ErrExists)

// A Request is what an application waits for. Its Grant names the user from the start;
// session, time and means of signing in come with the approval. Times are Unix milliseconds.
type Request struct {
	family.Grant

	Tenant      string           `cbor:"30,keyasint,omitempty"`
	Application string           `cbor:"31,keyasint,omitempty"`
	ClientID    string           `cbor:"32,keyasint,omitempty"`
	State       State            `cbor:"33,keyasint,omitempty"`
	Key         uint32           `cbor:"34,keyasint,omitempty"` // sealing key of the auth_req_id's MAC
	Message     string           `cbor:"35,keyasint,omitempty"` // binding_message: also on the device where it began
	Token       []byte           `cbor:"36,keyasint,omitempty"` // client_notification_token, sealed; empty: the client polls
	From        identity.Request `cbor:"37,keyasint,omitempty"` // of the application
	Created     int64            `cbor:"38,keyasint,omitempty"`
	Expires     int64            `cbor:"39,keyasint,omitempty"`
}

var (
	requests = fsm.NewTable(124, "ciba_requests", fsm.Spec[Request]{
		Scope:     func(r *Request) fsm.Scope { return fsm.Scope(r.Tenant) },
		Key:       func(r *Request) fsm.Key { return keyOf(r.Family) },
		Expires:   func(r *Request) time.Time { return time.UnixMilli(r.Expires) },
		Transient: true,
	})
	byUser = requests.Index(1, "user", func(r *Request) []fsm.Key { return []fsm.Key{fsm.K(r.UserID)} })
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{requests, pings}

func keyOf(id family.ID) fsm.Key { return fsm.K(string(id[:])) }

// NewID draws the ID of a request to come: the notification token is sealed for it.
func NewID() family.ID { return family.NewID() }

// Start begins a request; r, of which the Grant's Family, UserID and scope are set, and
// Tenant, Application, ClientID, Key, Message and Token, is completed. The user has life to
// decide. It reports identity.ErrLimited if the user has MaxPending undecided ones. One log
// entry. See Limit for what to check first.
func Start(tx *fsm.Tx, r *Request, life time.Duration) error {
	rows, waiting := 0, 0
	for old, err := range Of(tx, r.Tenant, r.UserID) {
		if err != nil {
			return err
		}
		rows++
		if old.State == Pending {
			waiting++
		}
	}
	if waiting >= MaxPending || rows >= maxRows {
		return identity.Limited("The user has too many undecided requests.", time.Minute)
	}
	r.State, r.From = Pending, identity.RequestFrom(tx.Context())
	r.Created, r.Expires = tx.Now().UnixMilli(), tx.Now().Add(bounded(life)).UnixMilli()
	if err := requests.Insert(tx, r); err != nil {
		return err
	}
	if err := Limit.Note(tx, poll.Starter{Tenant: r.Tenant, Application: r.Application}); err != nil {
		return err
	}
	return r.tell(tx, event.CIBARequested, identity.Actor{Kind: identity.ActorApplication, ID: r.Application})
}

func bounded(life time.Duration) time.Duration {
	if life == 0 {
		return DefaultLifetime
	}
	return max(MinLifetime, min(life, MaxLifetime))
}

// Get returns a request that has not been exchanged and has not expired, or fsm.ErrNotFound.
func Get(tx *fsm.Tx, tenant string, id family.ID) (*Request, error) {
	return requests.Get(tx, fsm.Scope(tenant), keyOf(id))
}

// Of yields the requests to a user, decided ones too. There are few: see MaxPending.
func Of(tx *fsm.Tx, tenant, userID string) iter.Seq2[*Request, error] {
	return byUser.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID)))
}

// Spend ends a request whose grant is made a family in the same transaction. It reports
// fsm.ErrNotFound if it is gone, and identity.ErrDenied unless it is approved.
func Spend(tx *fsm.Tx, tenant string, id family.ID) error {
	r, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	if r.State != Approved {
		return fmt.Errorf("request is not approved: %w", identity.ErrDenied)
	}
	return requests.Delete(tx, fsm.Scope(tenant), keyOf(id))
}

func (r *Request) tell(tx *fsm.Tx, what event.Type, by identity.Actor) error {
	e := event.Event{
		Tenant: r.Tenant, Type: what, Actor: by, Target: event.Target{Kind: "family", ID: r.Family.String()},
		Data: map[string]string{"application": r.Application, "client_id": r.ClientID, "user": r.UserID},
	}
	if r.Message != "" {
		e.Data["message"] = r.Message
	}
	return event.Append(tx, e)
}
