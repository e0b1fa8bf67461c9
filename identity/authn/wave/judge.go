package wave

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Kinds of wave.
const (
	Network  = "network"  // one network, or its neighbourhood, fails at many names
	Password = "password" // one password is tried at many names
	Stuffing = "stuffing" // many names fail from many networks
)

// Kinds are all of them.
var Kinds = []string{Network, Password, Stuffing}

// kindNames name what guesses have in common, in keys and metrics.
var kindNames = [kinds]string{network: Network, around: "neighbourhood", password: Password}

// A rule says how many names may fail from one source before it is slowed down.
type rule struct {
	free    int64         // names
	longest time.Duration // between two attempts
}

// A neighbourhood is many parties, a bucket of passwords is some that have nothing to do with
// the one that is sprayed: both are slowed down less than a network.
var rules = [kinds]rule{
	network:  {free: 20, longest: longestPace},
	around:   {free: 60, longest: 30 * time.Second},
	password: {free: 20, longest: 30 * time.Second},
}

const (
	longestPace = time.Minute
	firstPace   = time.Second

	stuffedNames    = 100
	stuffedNetworks = 20
	stuffedPace     = 5 * time.Second
	strangers       = 60 // guesses a minute that are let through meanwhile, of a tenant, at one node: from networks that failed or do not wait, and as many from others

	buckets = 1 << 12 // that passwords are told apart by
)

// pace is how far apart attempts must be that have a source in common, 0: it does not matter.
// Where many people sign in, some mistype: only where failures are most of it does it matter.
func (r rule) pace(t tally) time.Duration {
	if t.Failed < r.free || t.Failed <= 2*t.Passed {
		return 0
	}
	return min(firstPace<<min((t.Failed-r.free)/r.free, 20), r.longest)
}

// pace is the pace of a source of a kind in a tenant where all is what was counted. In a bucket
// of passwords there are also such as have nothing in common: as many as in any other.
func pace(kind int, t, all tally) time.Duration {
	if kind == password && t.Failed*buckets < 5*all.Failed {
		return 0
	}
	return rules[kind].pace(t)
}

// stuffing is the pace that every network must keep while lists are tried out, 0: they are not.
func stuffing(all tally, networks int64) time.Duration {
	if all.Failed < stuffedNames || networks < stuffedNetworks || all.Failed < 4*all.Passed {
		return 0
	}
	return min(stuffedPace<<min(bits.Len64(uint64(all.Failed/stuffedNames))-1, 10), longestPace)
}

// strangersApart is how far apart all guesses of a tenant must be meanwhile, at a node where so
// many names were signed in to in the windows that count: where many people are, more come anew.
func strangersApart(passed int64) time.Duration {
	const all = windows * window
	return all / time.Duration(strangers*int64(all/time.Minute)+passed)
}

// sums are what was counted in a tenant, by several nodes in the windows that count.
type sums struct {
	all      tally
	networks int64
	by       [kinds]map[string]tally
}

func (s *sums) add(r *row) {
	s.all.add(r.All)
	s.networks += r.Networks
	for k := range min(kinds, len(r.By)) {
		if s.by[k] == nil {
			s.by[k] = map[string]tally{}
		}
		for _, e := range r.By[k] {
			t := s.by[k][e.From]
			t.add(e.Tally)
			s.by[k][e.From] = t
		}
	}
}

// waves are the waves under way, by kind, each with what is worth telling.
func (s *sums) waves() map[string]Wave {
	out := map[string]Wave{}
	for k := range s.by {
		kind := kindNames[k]
		if k == around {
			kind = Network
		}
		for from, t := range s.by[k] {
			if pace(k, t, s.all) == 0 {
				continue
			}
			w := out[kind]
			w.Kind, w.Names = kind, max(w.Names, t.Failed)
			if k != password { // a bucket means nothing to anybody
				w.From = append(w.From, from)
			}
			out[kind] = w
		}
	}
	if stuffing(s.all, s.networks) > 0 {
		out[Stuffing] = Wave{Kind: Stuffing, Names: s.all.Failed, Networks: s.networks}
	}
	for kind, w := range out {
		slices.SortFunc(w.From, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
		w.From = w.From[:min(len(w.From), maxFrom)]
		out[kind] = w
	}
	return out
}
