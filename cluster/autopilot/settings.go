package autopilot

import (
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// Settings are what operators decide about membership. They are a row in the store.
type Settings struct {
	CleanupDead    bool          // remove voters that have died; otherwise a person does
	DeadAfter      time.Duration // how long a member must be silent to count as dead
	MinQuorum      int           // healthy voters below which nobody healthy is removed without force, and nobody automatically
	StabilizeAfter time.Duration // how long a new node must be healthy before it votes
	MaxLag         uint64        // log entries a healthy member may be behind the leader
}

// Default returns the settings of a cluster in which nobody has chosen any.
func Default() Settings {
	return Settings{DeadAfter: 15 * time.Minute, MinQuorum: 3, StabilizeAfter: 10 * time.Second, MaxLag: 500}
}

// The narrowest settings that may be stored.
const (
	leastDeadAfter = time.Minute
	mostStabilize  = time.Hour
	mostMinQuorum  = 9
)

func (s *Settings) check() error {
	switch {
	case s.DeadAfter < leastDeadAfter:
		return fmt.Errorf("dead_after %s: a node that restarts would count as dead: use at least %s: %w", s.DeadAfter, leastDeadAfter, fsm.ErrRefused)
	case s.MinQuorum < 1 || s.MinQuorum > mostMinQuorum:
		return fmt.Errorf("min_quorum %d: use 1 to %d: %w", s.MinQuorum, mostMinQuorum, fsm.ErrRefused)
	case s.StabilizeAfter < 0 || s.StabilizeAfter > mostStabilize:
		return fmt.Errorf("stabilize_after %s: use 0 to %s: %w", s.StabilizeAfter, mostStabilize, fsm.ErrRefused)
	case s.MaxLag < 1:
		return fmt.Errorf("max_lag 0: no follower is level with its leader all the time: use at least 1: %w", fsm.ErrRefused)
	}
	return nil
}

// A row holds the settings, in milliseconds, or names a member that an operator demoted.
type row struct {
	CleanupDead    bool   `cbor:"1,keyasint,omitempty"`
	DeadAfter      int64  `cbor:"2,keyasint,omitempty"`
	MinQuorum      int    `cbor:"3,keyasint,omitempty"`
	StabilizeAfter int64  `cbor:"4,keyasint,omitempty"`
	MaxLag         uint64 `cbor:"5,keyasint,omitempty"`
	Demoted        string `cbor:"6,keyasint,omitempty"`
}

var settingsKey = fsm.K("settings")

func demotedKey(id string) fsm.Key { return fsm.K("demoted", id) }

var settings = fsm.NewTable(152, "autopilot_settings", fsm.Spec[row]{
	Key: func(r *row) fsm.Key {
		if r.Demoted != "" {
			return demotedKey(r.Demoted)
		}
		return settingsKey
	},
	Own: true,
})

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{settings}

// Load returns the settings, which are [Default] while nobody has stored any.
func Load(tx *fsm.Tx) (Settings, error) {
	r, err := settings.Get(tx, fsm.Global, settingsKey)
	if errors.Is(err, fsm.ErrNotFound) {
		return Default(), nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("load autopilot settings: %w", err)
	}
	return Settings{
		CleanupDead: r.CleanupDead, DeadAfter: time.Duration(r.DeadAfter) * time.Millisecond, MinQuorum: r.MinQuorum,
		StabilizeAfter: time.Duration(r.StabilizeAfter) * time.Millisecond, MaxLag: r.MaxLag,
	}, nil
}

// Store replaces the settings. It reports fsm.ErrRefused, with a reason for people,
// for settings that would do harm.
func Store(tx *fsm.Tx, s Settings) error {
	if err := s.check(); err != nil {
		return err
	}
	return settings.Put(tx, &row{
		CleanupDead: s.CleanupDead, DeadAfter: s.DeadAfter.Milliseconds(), MinQuorum: s.MinQuorum,
		StabilizeAfter: s.StabilizeAfter.Milliseconds(), MaxLag: s.MaxLag,
	})
}

// SetDemoted notes whether member id is to stay without a vote, so that no leader gives it
// back by itself.
func SetDemoted(tx *fsm.Tx, id string, demoted bool) error {
	has, err := settings.Has(tx, fsm.Global, demotedKey(id))
	switch {
	case err != nil || has == demoted:
		return err
	case demoted:
		return settings.Put(tx, &row{Demoted: id})
	}
	return settings.Delete(tx, fsm.Global, demotedKey(id))
}

// IsDemoted says whether an operator took the vote of member id away.
func IsDemoted(tx *fsm.Tx, id string) (bool, error) {
	return settings.Has(tx, fsm.Global, demotedKey(id))
}
