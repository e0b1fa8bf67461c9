package compare

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A Report is what one member's state hashed to.
type Report struct {
	Node  string
	Voter bool
	Index uint64
	Sum   Sum
}

// A Sum is the hash of everything that was decided, and that of what is held.
type Sum struct {
	Chain [32]byte `cbor:"1,keyasint"`
	Hash  [32]byte `cbor:"2,keyasint"`
}

// String shows the beginnings of both.
func (s Sum) String() string {
	return "chain " + hex.EncodeToString(s.Chain[:8]) + " content " + hex.EncodeToString(s.Hash[:8])
}

// A Judgement says whose state is not that of a majority of the voters.
type Judgement struct {
	Right     Sum      // that of the majority
	Good      []string // members that hold it
	Odd       []Report // members that do not
	Undecided bool     // they differ, and no state is that of a majority
}

// Judge compares reports made after one log entry, in a cluster of that many voters,
// whether they have reported or not.
func Judge(reports []Report, voters int) Judgement {
	votes, all := map[Sum]int{}, map[Sum]bool{}
	for _, r := range reports {
		all[r.Sum] = true
		if r.Voter {
			votes[r.Sum]++
		}
	}
	var j Judgement
	decided := false
	for sum, n := range votes {
		if 2*n > voters {
			j.Right, decided = sum, true
		}
	}
	if !decided {
		j.Undecided = len(all) > 1
		return j
	}
	for _, r := range reports {
		if r.Sum == j.Right {
			j.Good = append(j.Good, r.Node)
		} else {
			j.Odd = append(j.Odd, r)
		}
	}
	slices.Sort(j.Good)
	slices.SortFunc(j.Odd, func(a, b Report) int { return cmp.Compare(a.Node, b.Node) })
	return j
}

// describe lists what each member holds, for a person.
func describe(reports []Report) string {
	var all []string
	for _, r := range reports {
		all = append(all, fmt.Sprintf("%s: %s", r.Node, r.Sum))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}
