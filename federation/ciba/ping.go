package ciba

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A ping is a notification that has not arrived yet. Its row is written with the decision,
// so none is lost, whichever node leads. It names no secret and no address: those are
// looked up when it is sent. Times are Unix milliseconds.
type ping struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	ID      family.ID `cbor:"2,keyasint,omitempty"`
	Due     int64     `cbor:"3,keyasint,omitempty"`
	Tries   int       `cbor:"4,keyasint,omitempty"`
	Expires int64     `cbor:"5,keyasint,omitempty"`
}

func (n *ping) key() fsm.Key { return fsm.K().Time(time.UnixMilli(n.Due)).Str(string(n.ID[:])) }

// All tenants' are one list, in the order in which they are due.
var pings = fsm.NewTable(129, "ciba_pings", fsm.Spec[ping]{
	Key:       (*ping).key,
	Expires:   func(p *ping) time.Time { return time.UnixMilli(p.Expires) },
	Transient: true,
})

const (
	pingsAtOnce = 16
	pingsOfOne  = 4 // of one application at once: a slow one must not hold up the others
	pingTries   = 6
	pingBackoff = 2 * time.Second // doubled after each try
	pingTimeout = 5 * time.Second
)

// A Pinger tells clients that a request was decided (CIBA Core, section 10.2).
type Pinger struct {
	DB     *fsm.DB
	Ring   *seal.Ring
	Post   func(ctx context.Context, url string, m fetch.Message) (fetch.Receipt, error) // fetch.Client.Post
	Logger *slog.Logger
}

// Run sends what is due, and returns when all of that has arrived, failed or timed out. A
// duty calls it on the leader every second. What came of a round is one log entry. A client
// may see a ping twice, with the same auth_req_id, if the leader ends in between.
func (p *Pinger) Run(ctx context.Context) error {
	due, err := p.due(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	arrived := make([]bool, len(due))
	var all sync.WaitGroup
	for i := range due {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, pingTimeout)
			defer cancel()
			arrived[i] = p.send(ctx, &due[i])
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.DB.Update(ctx, func(tx *fsm.Tx) error {
		for i := range due {
			if err := due[i].settle(tx, arrived[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *Pinger) due(ctx context.Context) (due []ping, err error) {
	err = p.DB.View(ctx, func(tx *fsm.Tx) error {
		due = due[:0]
		of := map[string]int{}
		for n, err := range pings.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			if n.Due > tx.Now().UnixMilli() || len(due) == pingsAtOnce {
				return nil
			}
			r, err := Get(tx, n.Tenant, n.ID)
			if err == nil {
				if of[r.Application]++; of[r.Application] > pingsOfOne {
					continue
				}
			} else if !errors.Is(err, fsm.ErrNotFound) {
				return err
			}
			due = append(due, *n)
		}
		return nil
	})
	return due, err
}

// settle forgets a ping that has arrived or was tried often enough, and puts off any other.
func (n *ping) settle(tx *fsm.Tx, arrived bool) error {
	key := n.key()
	has, err := pings.Has(tx, fsm.Global, key)
	if err != nil || !has {
		return err
	}
	if err := pings.Delete(tx, fsm.Global, key); err != nil {
		return err
	}
	next := *n
	next.Tries++
	next.Due = tx.Now().Add(pingBackoff << n.Tries).UnixMilli()
	if arrived || next.Tries == pingTries || next.Due >= n.Expires {
		return nil
	}
	return pings.Insert(tx, &next)
}

// send reports whether there is nothing more to try: it arrived, the client does not want
// it, or there is nobody to tell any more.
func (p *Pinger) send(ctx context.Context, n *ping) (done bool) {
	app, m, err := p.message(ctx, n)
	if errors.Is(err, fsm.ErrNotFound) || errors.Is(err, seal.ErrBox) {
		return true
	}
	if err == nil {
		var got fetch.Receipt
		got, err = p.Post(ctx, app.CIBA.EndpointURI, m)
		switch {
		case err != nil:
			done = errors.Is(err, fetch.ErrRefused) // by our own guard
		case got.Status < http.StatusMultipleChoices:
			return true
		default:
			// A redirect is not followed, and a refusal is not argued with (CIBA Core, section 10.2).
			done = got.Status < http.StatusInternalServerError && got.Status != http.StatusTooManyRequests
			err = fmt.Errorf("answered with status %d", got.Status)
		}
	}
	p.Logger.WarnContext(ctx, "client could not be pinged", "family", n.ID.String(), "try", n.Tries+1, "given_up", done, "error", err)
	return done
}

// message is what to send to an application as it is now: fsm.ErrNotFound if there is no use any more.
func (p *Pinger) message(ctx context.Context, n *ping) (app *federation.Application, m fetch.Message, err error) {
	var r *Request
	err = p.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		if r, err = Get(tx, n.Tenant, n.ID); err != nil {
			return err
		}
		app, _, err = federation.Get(tx, n.Tenant, r.Application)
		return err
	})
	if err == nil && (app.CIBA.EndpointURI == "" || app.Disabled) {
		err = fmt.Errorf("application has no notification endpoint: %w", fsm.ErrNotFound)
	}
	if err != nil {
		return nil, m, err
	}
	token, err := openToken(p.Ring, r)
	if err != nil {
		return nil, m, err
	}
	code, err := poll.CIBA.Code(p.Ring, r.Tenant, r.ClientID, r.Family, r.Key)
	if err != nil {
		return nil, m, err
	}
	m = fetch.Message{Name: "decoupled sign-in notice", Type: "application/json", Bearer: token.Reveal()}
	m.Body, err = json.Marshal(map[string]string{"auth_req_id": code})
	return app, m, err
}
