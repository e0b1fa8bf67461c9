package authn

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// How failures slow down further attempts. Delays, not locks: a lock would let
// anybody shut anybody out.
const (
	freeFailures    = 5                // from one network or device, before the first delay
	longestDelay    = 5 * time.Minute  // for one network or device
	freeAnywhere    = 50               // from everywhere together, known devices left out
	freeInWave      = 5                // the same, while lists are tried out
	longestAnywhere = 30 * time.Second // for everybody but known devices
	forgetFailures  = 15 * time.Minute // after the last one
	everywhere      = "*"

	maxTallies = 50_000 // sources remembered in memory for strangers
)

var (
	failures = fsm.NewCounter(82, "signin_failures")
	failedAt = fsm.NewCounter(83, "signin_failed_at") // milliseconds since 1970
)

// A source is one place where failures for one name are counted.
type source struct {
	tenant, name, from string
	wave               bool // lists are being tried out in the tenant

	count int64 // as the store knew it
	last  time.Time
}

func (s *source) key() fsm.Key { return fsm.K(s.name, s.from) }

// sources says where an attempt counts: with a device that the user has signed in
// from before, only there; else with the network it comes from, and with all others.
// Names nobody has count like those of users, or the delay would tell them apart.
// That is why username and address of one user count apart: a delay that passed from
// one to the other would tell that both are somebody's, and the same person's.
//
// Codes count by themselves, and more strictly: there are only a million of them, and who is
// asked for a second factor has the first.
func (fs *Flows) sources(ctx context.Context, f *Flow, u *directory.User) []source {
	login, name := f.Login, ""
	if u != nil {
		if d, ok := fs.deviceOf(f, u.ID); ok {
			return []source{{tenant: f.Need.Tenant, name: u.ID, from: deviceFrom + d.Nonce}}
		}
		if strings.Contains(login, "@") { // as the directory stores it: one name, one count, however it is spelled
			login = u.Email
		} else {
			login = u.Username
		}
	}
	switch f.Step() {
	case StepSecond:
		name = "second " + f.UserID
	case StepMail:
		name = "mail " + nameOf(login)
	default:
		name = passwordName + nameOf(login)
	}
	network := "network " + identity.RequestFrom(ctx).Network()
	return []source{
		{tenant: f.Need.Tenant, name: name, from: network},
		{tenant: f.Need.Tenant, name: name, from: everywhere, wave: fs.waves.Stuffed(f.Need.Tenant)},
	}
}

const (
	passwordName = "login "
	deviceFrom   = "device "
)

// known reports whether an attempt that counts there comes from a browser in which its user has
// signed in before.
func known(sources []source) bool {
	return len(sources) > 0 && strings.HasPrefix(sources[0].from, deviceFrom)
}

// nameOf is under what a name that was typed is counted.
func nameOf(login string) string {
	sum := sha256.Sum256([]byte(cases.Fold().String(norm.NFKC.String(strings.TrimSpace(login)))))
	return hex.EncodeToString(sum[:16])
}

func loadAll(tx *fsm.Tx, sources []source) error {
	for i := range sources {
		if err := sources[i].load(tx); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) load(tx *fsm.Tx) error {
	n, err := failures.Get(tx, fsm.Scope(s.tenant), s.key())
	if err != nil {
		return err
	}
	at, err := failedAt.Get(tx, fsm.Scope(s.tenant), s.key())
	s.count, s.last = n, time.UnixMilli(at)
	return err
}

// reset forgives a source from which the user has now signed in. What was tried
// from everywhere stays: the owner's success says nothing about the others.
func (s *source) reset(tx *fsm.Tx) error {
	if s.count == 0 || s.from == everywhere {
		return nil
	}
	if err := failures.Delete(tx, fsm.Scope(s.tenant), s.key()); err != nil {
		return err
	}
	return failedAt.Delete(tx, fsm.Scope(s.tenant), s.key())
}

// delay is how long after the last of n failures the next attempt may come.
func (s *source) delay(n int64) time.Duration {
	free, longest := int64(freeFailures), longestDelay
	if s.from == everywhere && strings.HasPrefix(s.name, passwordName) {
		free, longest = freeAnywhere, longestAnywhere
		if s.wave {
			free = freeInWave
		}
	}
	if n < free {
		return 0
	}
	return min(time.Second<<min(n-free, 20), longest)
}

// attempts are the failures of this node that are not in the store yet, and the
// attempts under way, which count as failures until they are not: else a hundred
// guesses at once would each see none before it.
type attempts struct {
	flush   sync.Mutex // one at a time
	mu      sync.Mutex // guards everything below
	tallies map[tallyKey]*tally
	failed  map[failedKey]*failed
	waiting int           // failures since the last flush
	wake    chan struct{} // a flush is due before its time

	strangers     int // attempts under way of browsers that are not known
	mostStrangers int
}

// An attempt is one under way.
type attempt struct {
	keys     []tallyKey
	stranger bool
}

type tallyKey struct{ tenant, name, from string }

type tally struct {
	failed   int64 // not in the store yet
	underWay int64
	last     time.Time
}

func newAttempts(strangers int) *attempts {
	return &attempts{mostStrangers: strangers, tallies: map[tallyKey]*tally{}, failed: map[failedKey]*failed{}, wake: make(chan struct{}, 1)}
}

func (s *source) tallyKey() tallyKey { return tallyKey{s.tenant, s.name, s.from} }

// admit lets an attempt begin, or says how long to wait. What is refused here is
// not counted: the delay ends whether or not someone keeps knocking. Strangers have room for so
// many only: what they cause must not keep out those who are known.
func (a *attempts) admit(sources []source, now time.Time) (attempt, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var wait time.Duration
	for i := range sources {
		s := &sources[i]
		n, last := s.count, s.last
		if t := a.tallies[s.tallyKey()]; t != nil {
			n += t.failed + t.underWay
			if t.last.After(last) {
				last = t.last
			}
		}
		wait = max(wait, min(s.delay(n), last.Add(s.delay(n)).Sub(now)))
	}
	if wait > 0 {
		return attempt{}, wait
	}
	one := attempt{keys: make([]tallyKey, 0, len(sources)), stranger: !known(sources)}
	if one.stranger && a.crowded() {
		return attempt{}, time.Second
	}
	if one.stranger {
		a.strangers++
	}
	for i := range sources {
		k := sources[i].tallyKey()
		t := a.tallies[k]
		if t == nil {
			t = &tally{}
			a.tallies[k] = t
		}
		t.underWay++
		t.last = now
		one.keys = append(one.keys, k)
	}
	return one, 0
}

// full reports whether there is no room for one more stranger.
func (a *attempts) full() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.crowded()
}

// crowded is full for whoever holds the lock.
func (a *attempts) crowded() bool {
	return a.strangers >= a.mostStrangers || len(a.tallies) > maxTallies
}

// release ends an attempt that was no failure.
func (a *attempts) release(one attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end(one, 0)
}

// end is release for whoever holds the lock.
func (a *attempts) end(one attempt, failed int64) {
	if one.stranger {
		a.strangers--
	}
	for _, k := range one.keys {
		t := a.tallies[k]
		t.underWay--
		t.failed += failed
		if t.underWay == 0 && t.failed == 0 {
			delete(a.tallies, k)
		}
	}
}
