package house

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A Fault is one thing that is done to the cluster. Nodes are named by the places
// they have when it begins: 0 leads, 1 and 2 follow.
type Fault struct {
	Kind  string
	Place int           // whom it hits; see above
	Hold  time.Duration // for how long
	Draw  uint64        // decides whatever else there is to decide
}

// A Round is what is done at once. After it everything is mended and must recover.
type Round struct {
	Faults []Fault
	Rest   time.Duration // of quiet before it
}

// Name returns what the round's row in a table is called.
func (r Round) Name() string {
	if len(r.Faults) > 1 {
		return "several at once"
	}
	return r.Faults[0].Kind
}

// String describes the round for a log.
func (r Round) String() string {
	var s []string
	for _, f := range r.Faults {
		s = append(s, fmt.Sprintf("%s of %d for %v", f.Kind, f.Place, f.Hold.Round(time.Millisecond)))
	}
	return strings.Join(s, ", ")
}

// The kinds of fault. Every plan has each of them before any comes again.
const (
	Kill         = "kill -9"
	PowerLoss    = "power loss"
	AllPowerLoss = "power loss of all nodes"
	Restart      = "orderly restart"
	Symmetric    = "symmetric partition"
	Deaf         = "asymmetric partition: hears nothing"
	Mute         = "asymmetric partition: is not heard"
	Bridge       = "bridge partition"
	Delays       = "delays"
	Resets       = "connection resets"
	Storm        = "leadership transfer storm"
	Rejoin       = "remove and rejoin"
	Demotion     = "demote and promote"
	ClockJump    = "clock jump of 5 minutes"
	InSnapshot   = "power loss during a snapshot"
	InInstall    = "kill -9 while a snapshot is installed"
	KeyRotation  = "key rotation"
)

var kinds = []string{
	Kill, PowerLoss, Symmetric, Storm, Deaf, ClockJump, Bridge, InSnapshot, Mute, Rejoin,
	Resets, InInstall, Delays, AllPowerLoss, Demotion, Restart, KeyRotation,
}

// mixes are kinds that may be at work together and leave a majority whole.
var mixes = [][]string{
	{Kill, ClockJump}, {PowerLoss, Delays}, {Symmetric, ClockJump}, {Storm, Resets}, {Bridge, Storm},
	{Deaf, ClockJump}, {Delays, Storm, ClockJump}, {Resets, Kill}, {Mute, Resets}, {Delays, Resets, ClockJump},
}

// Plan returns the first n rounds of a seed's schedule: every kind once, in an order
// of the seed's own, each third round several at once.
func Plan(seed uint64, n int) []Round {
	r := rand.New(rand.NewPCG(seed, 1))
	fault := func(kind string, place int) Fault {
		return Fault{Kind: kind, Place: place, Hold: 300*time.Millisecond + time.Duration(r.Int64N(int64(2200*time.Millisecond))), Draw: r.Uint64()}
	}
	var rounds []Round
	var todo []string
	for len(rounds) < n {
		round := Round{Rest: 100*time.Millisecond + time.Duration(r.Int64N(int64(400*time.Millisecond)))}
		place := r.IntN(3)
		if len(rounds)%3 == 2 {
			for _, k := range mixes[r.IntN(len(mixes))] {
				round.Faults = append(round.Faults, fault(k, place))
			}
		} else {
			if len(todo) == 0 {
				todo = slices.Clone(kinds)
				r.Shuffle(len(todo), func(i, k int) { todo[i], todo[k] = todo[k], todo[i] })
			}
			round.Faults = append(round.Faults, fault(todo[0], place))
			todo = todo[1:]
		}
		rounds = append(rounds, round)
	}
	return rounds
}
