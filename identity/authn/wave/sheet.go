package wave

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	window  = 5 * time.Minute
	windows = 3 // that count: the present one, and those before it

	maxSeen    = 200_000 // pairs that one window remembers, to count each once
	maxSources = 2_048   // of one kind in one window
	maxEntries = 32      // of one kind in a row
	worthEntry = 3       // names, from which on a source is written
	worthSheet = 10      // names, from which on a window is written
)

// What guesses can have in common.
const (
	network  = iota // an address, or 64 bits of IPv6
	around          // 24 bits of an address, or 48 of IPv6
	password        // a few bits of the MAC of one
	kinds
)

// A tally is how many names failed, and how many were signed in to.
type tally struct {
	Failed int64 `cbor:"1,keyasint,omitempty"`
	Passed int64 `cbor:"2,keyasint,omitempty"`
}

func (t *tally) add(o tally) {
	t.Failed += o.Failed
	t.Passed += o.Passed
}

// An entry is the tally of one source.
type entry struct {
	From  string `cbor:"1,keyasint,omitempty"`
	Tally tally  `cbor:"2,keyasint,omitempty"`
}

// A row is either what one node counted in one window of a tenant, or a wave that is
// under way there.
type row struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	Expires time.Time `cbor:"2,keyasint,omitempty"` // zero: a wave's, which goes when it ends

	Window   int64     `cbor:"3,keyasint,omitempty"` // number of the window since 1970
	Node     string    `cbor:"4,keyasint,omitempty"` // the process that counted, by a name that it gave itself
	All      tally     `cbor:"5,keyasint,omitempty"`
	Networks int64     `cbor:"6,keyasint,omitempty"` // that failed
	By       [][]entry `cbor:"7,keyasint,omitempty"` // by kind, the largest of each

	Wave *Wave `cbor:"8,keyasint,omitempty"`
}

var table = fsm.NewTable(86, "signin_waves", fsm.Spec[row]{
	Scope: func(r *row) fsm.Scope { return fsm.Scope(r.Tenant) },
	Key: func(r *row) fsm.Key {
		if r.Wave != nil {
			return waveKey(r.Wave.Kind)
		}
		return fsm.K("window").Uint(uint64(r.Window)) + fsm.K(r.Node)
	},
	Expires:   func(r *row) time.Time { return r.Expires },
	Transient: true,
})

func waveKey(kind string) fsm.Key { return fsm.K("wave", kind) }

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{table}

func windowOf(t time.Time) int64 { return t.Unix() / int64(window/time.Second) }

// counts reports whether a window still matters.
func counts(at int64, now time.Time) bool { return at > windowOf(now)-windows }

// A sheet is what this node counts in one window of a tenant.
type sheet struct {
	all      tally
	networks int64
	by       [kinds]map[string]tally
	seen     map[uint64]struct{} // what was counted; nil once the window is over

	changes, written int64 // how often it was changed, and when the store had it
}

func newSheet() *sheet {
	s := &sheet{seen: map[uint64]struct{}{}}
	for k := range s.by {
		s.by[k] = map[string]tally{}
	}
	return s
}

var seed = maphash.MakeSeed()

// first reports whether this is the first time. When there is no room to remember, nothing
// is: by then there is a wave.
func (s *sheet) first(what ...string) bool {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, part := range what {
		h.WriteString(part)
		h.WriteByte(0)
	}
	sum := h.Sum64()
	if _, ok := s.seen[sum]; ok || len(s.seen) >= maxSeen {
		return false
	}
	s.seen[sum] = struct{}{}
	return true
}

// count notes how a guess ended. One name counts once for each source.
func (s *sheet) count(g Guess, passed bool) {
	one, how := tally{Failed: 1}, "failed"
	if passed {
		one, how = tally{Passed: 1}, "passed"
	}
	if s.first(how, g.name) {
		s.all.add(one)
		s.changes++
	}
	if !passed && s.first("from", g.from[network]) {
		s.networks++
	}
	for k, from := range g.from {
		if from == "" || !s.first(how, kindNames[k], from, g.name) {
			continue
		}
		t, known := s.by[k][from]
		if !known && len(s.by[k]) >= maxSources {
			s.makeRoom(k)
		}
		t.add(one)
		s.by[k][from] = t
		s.changes++
	}
}

// makeRoom forgets the smallest among some sources.
func (s *sheet) makeRoom(kind int) {
	const sample = 16 // map order is random enough
	least, size, n := "", int64(0), 0
	for from, t := range s.by[kind] {
		if least == "" || t.Failed < size {
			least, size = from, t.Failed
		}
		if n++; n == sample {
			break
		}
	}
	delete(s.by[kind], least)
}

// row is the sheet as it is stored.
func (s *sheet) row(tenant, node string, at int64) row {
	r := row{
		Tenant: tenant, Expires: time.Unix((at+windows+1)*int64(window/time.Second), 0),
		Window: at, Node: node, All: s.all, Networks: s.networks, By: make([][]entry, kinds),
	}
	for k := range s.by {
		for from, t := range s.by[k] {
			if t.Failed >= worthEntry {
				r.By[k] = append(r.By[k], entry{from, t})
			}
		}
		slices.SortFunc(r.By[k], func(a, b entry) int {
			return cmp.Or(cmp.Compare(b.Tally.Failed, a.Tally.Failed), cmp.Compare(a.From, b.From))
		})
		r.By[k] = r.By[k][:min(len(r.By[k]), maxEntries)]
	}
	return r
}
