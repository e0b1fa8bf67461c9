package history

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A model judges the operations of some kinds, one key at a time.
type model struct {
	name  string
	kinds []Kind
	// step returns the states that may follow from state; none: the answer is wrong.
	step func(state string, o Op) []string
	// ready, if set, is what the operations of one key are judged as.
	ready func([]Op) []Op
}

// models are every kind of operation but Use, which is judged by when it began.
var models = []model{
	{"register", []Kind{Write, Read, Swap}, register, nil},
	{"counter", []Kind{Add, Count}, counter, numbered},
	{"unique name", []Kind{Create, Lookup}, uniqueName, nil},
	{"single use", []Kind{Redeem}, singleUse, nil},
	{"refresh", []Kind{Start, Refresh, Revoke}, family, nil},
}

// legal is one state, or none if the answer is wrong.
func legal(ok bool, next string) []string {
	if !ok {
		return nil
	}
	return []string{next}
}

func register(s string, o Op) []string {
	switch o.Kind {
	case Read:
		return legal(o.Got == s, s)
	case Write:
		return legal(o.Outcome != Refused, o.New)
	}
	switch o.Outcome {
	case OK:
		return legal(s == o.Old, o.New)
	case Refused:
		return legal(s != o.Old && (o.Got == "" || o.Got == s), s)
	}
	if s == o.Old {
		return []string{o.New}
	}
	return []string{s}
}

func counter(s string, o Op) []string {
	n, _ := strconv.Atoi(s) // written below
	if o.Kind == Count {
		return legal(o.Got == strconv.Itoa(n), s)
	}
	next := strconv.Itoa(n + 1)
	return legal(o.Got == next, next)
}

// numbered says of each add of which nobody knows whether it took effect what number it came to, and leaves out
// those of which nothing was seen. Those numbers, up to the highest that was seen, that no other add came to are
// theirs; and as they all return at any time, of two the one that was called first may stand wherever the other may,
// so that they can be handed out in order. Without it the search tries every choice of them, of which there are too many.
func numbered(ops []Op) []Op {
	taken, most := map[int]bool{}, 0
	var known, unknown []Op
	for _, o := range ops {
		n, err := strconv.Atoi(o.Got)
		switch {
		case o.Kind == Add && o.Outcome == Unknown:
			unknown = append(unknown, o)
			continue
		case o.Kind == Add && err == nil:
			taken[n] = true
		}
		known, most = append(known, o), max(most, n)
	}
	slices.SortFunc(unknown, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	for n := 1; n <= most && len(unknown) > 0; n++ {
		if !taken[n] {
			unknown[0].Got = strconv.Itoa(n)
			known, unknown = append(known, unknown[0]), unknown[1:]
		}
	}
	return known
}

func uniqueName(owner string, o Op) []string {
	switch {
	case o.Kind == Lookup:
		return legal(o.Got == owner, owner)
	case o.Outcome == Refused:
		return legal(owner != "", owner)
	case owner == "":
		return []string{o.New}
	}
	return legal(o.Outcome == Unknown, owner)
}

func singleUse(spent string, o Op) []string {
	switch o.Outcome {
	case Refused:
		return legal(spent != "" || o.Old == tooLate, spent)
	case OK:
		return legal(spent == "", "spent")
	}
	return []string{"spent"}
}

// tooLate marks what may be refused because of the time alone: a code that expired,
// a refresh token whose grace is over. prepare sets it.
const tooLate = "too late"

// A familyState is what a family is after some operations: the token that is good,
// the one before it (which names the same successor for a while), and whether it has ended.
type familyState struct {
	now, before string
	revoked     bool
}

func (f familyState) String() string {
	return f.now + "\x00" + f.before + "\x00" + strconv.FormatBool(f.revoked)
}

func readFamily(s string) familyState {
	part := strings.Split(s, "\x00")
	if len(part) != 3 {
		return familyState{}
	}
	return familyState{part[0], part[1], part[2] == "true"}
}

// family judges the refresh tokens of one family. prepare has put into New what the
// successor of Old is called, seen or not.
func family(s string, o Op) []string {
	f := readFamily(s)
	ended := f
	ended.revoked = true
	switch {
	case o.Kind == Start:
		return legal(f.now == "" || o.Outcome == Unknown, familyState{o.New, "", f.revoked}.String())
	case o.Kind == Revoke:
		return legal(o.Outcome != Refused || f.revoked, ended.String())
	case f.revoked:
		return legal(o.Outcome != OK, s)
	case o.Old == f.now:
		return legal(o.Outcome != Refused, familyState{o.New, o.Old, false}.String())
	case o.Old == f.before:
		late := strings.HasSuffix(o.Note, tooLate)
		switch o.Outcome {
		case OK:
			return legal(o.Got == f.now, s)
		case Refused:
			return legal(late, ended.String())
		}
		return []string{s, ended.String()}
	}
	// An older token has been used twice: refused, and the family ends.
	if o.Outcome == Unknown {
		return []string{s, ended.String()}
	}
	return legal(o.Outcome == Refused, ended.String())
}

// linearizable says whether some order explains the operations of one key.
func (m model) linearizable(ops []Op, timeout time.Duration) porcupine.CheckResult {
	p := porcupine.NondeterministicModel{
		Init: func() []any { return []any{""} },
		Step: func(state, input, _ any) []any {
			var next []any
			for _, s := range m.step(state.(string), input.(Op)) {
				next = append(next, s)
			}
			return next
		},
		Equal: func(a, b any) bool { return a == b },
	}
	h := make([]porcupine.Operation, 0, len(ops))
	for i, o := range ops {
		h = append(h, porcupine.Operation{ClientId: i, Input: o, Call: int64(o.Call), Output: o.Outcome, Return: int64(o.Return)})
	}
	return porcupine.CheckOperationsTimeout(p.ToModel(), h, timeout)
}

func (m model) judges(k Kind) bool { return slices.Contains(m.kinds, k) }
