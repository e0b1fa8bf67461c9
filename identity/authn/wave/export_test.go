package wave

import (
	"time"

	"github.com/quis-idp/quis/fsm"
)

// PaceAfter is how far apart attempts from one network, or with one password, must be after so
// many names failed and passed there, of failed names in all.
func PaceAfter(kind string, failed, passed, all int64) time.Duration {
	for k, name := range kindNames {
		if name == kind {
			return pace(k, tally{failed, passed}, tally{Failed: all})
		}
	}
	panic(kind)
}

// StuffingAfter is the pace of every network after so much in all.
func StuffingAfter(failed, passed, networks int64) time.Duration {
	return stuffing(tally{failed, passed}, networks)
}

// StrangersApart is how far apart all guesses of a tenant must be at a node with so many sign-ins.
func StrangersApart(passed int64) time.Duration { return strangersApart(passed) }

// A Stored is what a row of counts has of each kind.
type Stored struct {
	Names    int64
	Networks int64
	Entries  []int
}

// Rows are the rows of counts in the store, and how many waves there are besides.
func Rows(tx *fsm.Tx) (rows []Stored, waves int, err error) {
	for r, err := range table.ListAll(tx) {
		if err != nil {
			return nil, 0, err
		}
		if r.Wave != nil {
			waves++
			continue
		}
		s := Stored{Names: r.All.Failed, Networks: r.Networks}
		for _, list := range r.By {
			s.Entries = append(s.Entries, len(list))
		}
		rows = append(rows, s)
	}
	return rows, waves, nil
}

// Paced is how many sources are remembered, of so many that were let through at t.
func Paced(n int, key func(int) string, t time.Time) (remembered int, last bool) {
	var p paces
	for i := range n {
		p.note(key(i), t)
	}
	return len(p.young) + len(p.old), p.last(key(n - 1)).Equal(t)
}

// MaxPaced is how many sources are remembered at most.
const MaxPaced = 2 * maxPaced

// Bucket is what is kept of a password.
func (w *Watch) Bucket(tenant, secret string) string { return w.bucket(tenant, secret) }

// Knocks are knocks.
type Knocks struct{ k knocks }

func (k *Knocks) Note(network string, t time.Time)      { k.k.note(network, t) }
func (k *Knocks) Many(network string, t time.Time) bool { return k.k.many(network, t) }

// Patience is how often somebody may come too early.
const Patience = patience
