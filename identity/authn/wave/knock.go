package wave

import (
	"hash/maphash"
	"time"
)

const (
	patience   = 12      // refusals in a minute or two, for whoever comes when they are told to
	knockFor   = 1 << 20 // networks told apart, by what they hash to under a seed of this process
	knockTurns = time.Minute

	comeAgain = 2 * knockTurns / patience // what strangers are told whose turn another took: if they do, they are not many
)

// knocks count how often networks were refused while a list was tried out, in the present minute
// and the one before it. Strangers choose the networks, so there is a byte for each of a million kinds and
// no more: where a hundred thousand knock, one in ten others is taken for one of them.
type knocks struct {
	young, old []uint8 // nil: nobody has
	turned     time.Time
	seed       maphash.Seed
}

func (k *knocks) note(network string, now time.Time) {
	k.turn(now)
	if k.young == nil {
		k.young = make([]uint8, knockFor)
	}
	if at := &k.young[k.cell(network)]; *at <= patience {
		*at++
	}
}

// many reports whether a network does not wait when it is told to.
func (k *knocks) many(network string, now time.Time) bool {
	k.turn(now)
	var n uint8
	for _, count := range [...][]uint8{k.young, k.old} {
		if count != nil {
			n += count[k.cell(network)]
		}
	}
	return n > patience
}

func (k *knocks) turn(now time.Time) {
	switch past := now.Sub(k.turned); {
	case past >= 2*knockTurns:
		*k = knocks{turned: now, seed: maphash.MakeSeed()}
	case past >= knockTurns:
		k.young, k.old, k.turned = nil, k.young, now
	}
}

func (k *knocks) cell(network string) uint64 { return maphash.String(k.seed, network) % knockFor }
