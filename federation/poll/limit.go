package poll

import (
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// Window is the time in which waits are counted, and about as long as one lasts: what may
// begin in it bounds what is pending.
const Window = 10 * time.Minute

var begun = fsm.NewCounter(128, "waits_begun").Transient()

// Tables are the tables of this room.
var Tables = []fsm.Definition{begun}

// A Limit is how many waits of one kind may begin within [Window]: those that an
// application asks for, and those that come from one network.
type Limit struct {
	Kind                    Kind
	PerApplication, PerFrom int64 // 0: any
}

// A Starter is who begins a wait.
type Starter struct{ Tenant, Application, Network string }

// Check reports identity.ErrLimited if s has begun too many. Call it in a View before the
// Update that notes the next one: a number read in an Update would make all that begin at
// one time conflict with each other. So a burst may exceed the limit by as many as run at once.
func (l Limit) Check(tx *fsm.Tx, s Starter) error {
	for _, c := range l.counts(s) {
		n, err := recent(tx, s.Tenant, c.key)
		if err != nil {
			return fmt.Errorf("waits begun: %w", err)
		}
		if n >= c.most {
			return identity.Limited("Too many requests of this kind are waiting for somebody already.", Window/10)
		}
	}
	return nil
}

// Note counts one that begins in tx.
func (l Limit) Note(tx *fsm.Tx, s Starter) error {
	for _, c := range l.counts(s) {
		at := tx.Now().Truncate(Window)
		if err := begun.Add(tx, fsm.Scope(s.Tenant), c.key.Time(at), 1, at.Add(2*Window)); err != nil {
			return err
		}
	}
	return nil
}

type count struct {
	key  fsm.Key
	most int64
}

func (l Limit) counts(s Starter) []count {
	var all []count
	if l.PerApplication > 0 {
		all = append(all, count{fsm.K(string(l.Kind), "application", s.Application), l.PerApplication})
	}
	if l.PerFrom > 0 {
		all = append(all, count{fsm.K(string(l.Kind), "from", s.Network), l.PerFrom})
	}
	return all
}

// recent is the count of this window, and of the last one as much as of it is less than a
// whole one ago: about what a window that slides would hold.
func recent(tx *fsm.Tx, tenant string, key fsm.Key) (int64, error) {
	at := tx.Now().Truncate(Window)
	now, err := begun.Get(tx, fsm.Scope(tenant), key.Time(at))
	if err != nil {
		return 0, err
	}
	before, err := begun.Get(tx, fsm.Scope(tenant), key.Time(at.Add(-Window)))
	if err != nil {
		return 0, err
	}
	gone := tx.Now().Sub(at)
	return now + before*int64(Window-gone)/int64(Window), nil
}
