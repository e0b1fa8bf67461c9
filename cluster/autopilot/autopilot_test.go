package autopilot

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

var now = time.Unix(1e9, 0)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// The kinds of members that the tables below are made of.
func voter(id string) Member {
	return Member{ID: id, Voter: true, Healthy: true, Since: ago(time.Hour)}
}

func leader(id string) Member {
	m := voter(id)
	m.Leader = true
	return m
}

func joiner(id string, healthy time.Duration) Member {
	return Member{ID: id, Healthy: healthy > 0, Since: ago(healthy)}
}

func dead(m Member, silent time.Duration) Member {
	m.Healthy, m.Since, m.Silent = false, ago(silent), ago(silent)
	return m
}

func with(m Member, change func(*Member)) Member {
	change(&m)
	return m
}

func TestDecide(t *testing.T) {
	t.Parallel()
	three := []Member{leader("a"), voter("b"), voter("c")}
	four := append(three[:3:3], voter("d"))
	long := 20 * time.Minute
	clean := Default()
	clean.CleanupDead = true
	small := clean
	small.MinQuorum = 1
	for _, c := range []struct {
		name     string
		settings Settings
		members  []Member
		want     Action
		id, why  string
	}{
		{"all is well", clean, three, Nothing, "", ""},
		{"a new node is promoted after its time", clean, append(three[:3:3], joiner("d", 10*time.Second)), Promote, "d", "healthy for 10s"},
		{"but not before", clean, append(three[:3:3], joiner("d", 9*time.Second)), Nothing, "", "while d is joining"},
		{"an unhealthy new node is not", clean, append(three[:3:3], with(joiner("d", time.Hour), func(m *Member) { m.Healthy = false })), Nothing, "", "while d is joining"},
		{"nor one that is being installed", clean, append(three[:3:3], with(joiner("d", time.Hour), func(m *Member) { m.Busy = true })), Nothing, "", "while d is joining"},
		{"nor one that was demoted", clean, append(three[:3:3], with(joiner("d", time.Hour), func(m *Member) { m.Demoted = true })), Nothing, "", ""},
		{"one at a time", clean, append(three[:3:3], joiner("d", time.Hour), joiner("e", time.Hour)), Promote, "d", ""},
		{"promotion comes before removal", clean, append(four[:3:3], dead(voter("x"), long), joiner("d", time.Minute)), Promote, "d", ""},
		{"the dead stay unless the operator wants it", Default(), append(four[:4:4], dead(voter("x"), long)), Nothing, "", ""},
		{"a dead voter is removed when a replacement votes", clean, append(three[:3:3], dead(voter("x"), long)), Remove, "x", "no sign of life for 20m0s"},
		{"not while the replacement is missing", clean, []Member{leader("a"), voter("b"), dead(voter("x"), long)}, Nothing, "", "at least 3 are wanted"},
		{"not while it is joining", clean, []Member{leader("a"), voter("b"), dead(voter("x"), long), joiner("d", time.Second)}, Nothing, "", "while d is joining"},
		{"not while a voter is catching up", clean, append(four[:3:3], with(voter("d"), func(m *Member) { m.Healthy = false }), dead(voter("x"), long)), Nothing, "", "while d is catching up"},
		{"not while one is being installed", clean, append(four[:3:3], with(voter("d"), func(m *Member) { m.Busy = true }), dead(voter("x"), long)), Nothing, "", "while d is catching up"},
		{"not before its time", clean, append(three[:3:3], dead(voter("x"), 14*time.Minute)), Nothing, "", ""},
		{"never one that is being installed itself", clean, append(three[:3:3], with(dead(voter("x"), long), func(m *Member) { m.Busy = true })), Nothing, "", "while x is catching up"},
		{"only one of two dead", clean, append(four[:4:4], dead(voter("x"), long), dead(voter("y"), long)), Remove, "x", ""},
		{"a dead one without a vote goes first", clean, append(four[:4:4], dead(voter("x"), long), dead(joiner("j", 0), long)), Remove, "j", ""},
		{"a dead demoted one goes, too", clean, append(three[:3:3], dead(with(joiner("j", 0), func(m *Member) { m.Demoted = true }), long)), Remove, "j", ""},
		{"a majority of the rest must be healthy", small, []Member{leader("a"), dead(voter("x"), long), dead(voter("y"), long)}, Nothing, "", "1 of 2 voters would be healthy"},
		{"below the minimum if that is low", small, []Member{leader("a"), voter("b"), dead(voter("x"), long)}, Remove, "x", ""},
		{"an unfinished demotion is finished", Default(), append(four[:3:3], with(voter("d"), func(m *Member) { m.Demoted = true })), Demote, "d", ""},
		{"also below the minimum, which the operator has weighed", Default(), []Member{leader("a"), voter("b"), with(voter("c"), func(m *Member) { m.Demoted = true })}, Demote, "c", ""},
		{"but not if too few are healthy", Default(), []Member{leader("a"), dead(voter("b"), long), with(voter("c"), func(m *Member) { m.Demoted = true })}, Nothing, "", ""},
	} {
		d := Decide(c.settings, c.members, now)
		if d.Action != c.want || d.ID != c.id || !strings.Contains(d.Reason, c.why) {
			t.Errorf("%s: %v %s (%s), want %v %s (%s)", c.name, d.Action, d.ID, d.Reason, c.want, c.id, c.why)
		}
	}
}

// Whatever Decide does, again and again, it leaves a majority of healthy voters and never
// goes below the minimum, unless an operator has already agreed to that.
func TestDecisionsNeverCostTheQuorum(t *testing.T) {
	t.Parallel()
	kinds := []Member{
		voter(""), dead(voter(""), time.Hour), dead(voter(""), time.Second), joiner("", time.Hour), dead(joiner("", 0), time.Hour),
		with(voter(""), func(m *Member) { m.Demoted = true }), with(voter(""), func(m *Member) { m.Busy = true }),
	}
	const others = 4
	total := 1
	for range others {
		total *= len(kinds)
	}
	for minimum := 1; minimum <= 5; minimum++ {
		s := Default()
		s.CleanupDead, s.MinQuorum = true, minimum
		for n := range total {
			members := []Member{leader("a")}
			for i, k := 0, n; i < others; i, k = i+1, k/len(kinds) {
				m := kinds[k%len(kinds)]
				m.ID = string(rune('b' + i))
				members = append(members, m)
			}
			for range 2 * others {
				voters, healthy := count(members)
				d := Decide(s, members, now)
				if d.Action == Nothing {
					break
				}
				members = carryOut(members, d)
				v, h := count(members)
				if v < voters && (h < s.MinQuorum && d.Action != Demote || h < v/2+1 || v != voters-1) {
					t.Fatalf("minimum %d: %v %s took %d of %d healthy voters to %d of %d", minimum, d.Action, d.ID, healthy, voters, h, v)
				}
			}
		}
	}
}

// What operators may do without force: anything to a voter that is not healthy, as long as most of
// the others are; to a healthy one only above the minimum.
func TestWhatOperatorsMayTake(t *testing.T) {
	t.Parallel()
	s := Default()
	three := []Member{leader("a"), voter("b"), voter("c")}
	gone := []Member{leader("a"), voter("b"), dead(voter("c"), time.Minute)}
	late := []Member{leader("a"), voter("b"), with(voter("c"), func(m *Member) { m.Healthy = false })}
	for _, c := range []struct {
		what    string
		members []Member
		id, why string
	}{
		{"a healthy one of three", three, "c", "--force"},
		{"a dead one of three", gone, "c", ""},
		{"one of three that is catching up", late, "c", ""},
		{"a healthy one while another is dead", gone, "b", "1 of 2 voters would be healthy"},
		{"a healthy one of four", append(three[:3:3], voter("d")), "d", ""},
		{"a dead one of two", []Member{leader("a"), dead(voter("b"), time.Minute)}, "b", ""},
		{"a dead one of four of which another is dead", append(gone[:3:3], dead(voter("d"), time.Minute)), "d", ""},
		{"a dead one of five of which three are", append(gone[:3:3], dead(voter("d"), time.Minute), dead(voter("e"), time.Minute)), "e", "2 of 4 voters would be healthy"},
		{"the last one", []Member{leader("a")}, "a", "the only voter"},
	} {
		err := s.MayTake(c.members, c.id)
		if c.why == "" && err != nil || c.why != "" && (!errors.Is(err, fsm.ErrRefused) || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v, want %q", c.what, err, c.why)
		}
	}
	if err := s.MayLose(gone, "c"); err == nil {
		t.Error("the minimum does not hold for what happens by itself")
	}
}

func count(members []Member) (voters, healthy int) {
	for _, m := range members {
		if m.Voter {
			voters++
			if m.Healthy {
				healthy++
			}
		}
	}
	return voters, healthy
}

func carryOut(members []Member, d Decision) []Member {
	var after []Member
	for _, m := range members {
		if m.ID == d.ID {
			if d.Action == Remove {
				continue
			}
			m.Voter = d.Action == Promote
		}
		after = append(after, m)
	}
	return after
}

func TestSummary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		healthy, voters int
		led             bool
		want            string
	}{
		{3, 3, true, "3 of 3 voters healthy: 1 failure tolerated"},
		{2, 3, true, "2 of 3 voters healthy: no further failure tolerated"},
		{1, 3, true, "1 of 3 voters healthy: 2 are needed, nothing can be written"},
		{1, 3, false, "1 of 3 voters healthy: 2 are needed, nothing can be written"},
		{2, 3, false, "2 of 3 voters healthy: no leader, nothing can be written"},
		{5, 5, true, "5 of 5 voters healthy: 2 failures tolerated"},
		{4, 5, true, "4 of 5 voters healthy: 1 further failure tolerated"},
		{1, 1, true, "1 of 1 voter healthy: no failure tolerated"},
		{0, 0, false, "not a member of a cluster yet"},
	} {
		if got := Summary(c.healthy, c.voters, c.led); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestStuckFollower(t *testing.T) {
	t.Parallel()
	var s Stuck
	at := now
	look := func(after time.Duration, f Follower) ([]string, bool) {
		at = at.Add(after)
		f.ID = "f"
		return s.Look(at, []Follower{f})
	}
	quiet := func(what string, after time.Duration, f Follower) {
		t.Helper()
		if found, hand := look(after, f); found != nil || hand {
			t.Errorf("%s: found %v, hands over: %v", what, found, hand)
		}
	}
	pending := Follower{Last: 5, Pending: true, Answers: true}
	quiet("first sight", 0, Follower{Last: 4, Answers: true})
	quiet("progress", time.Hour, pending)
	quiet("not long enough", StuckAfter-time.Second, pending)
	quiet("it does not answer", time.Second, Follower{Last: 5, Pending: true})
	quiet("not long enough since", StuckAfter-time.Second, pending)
	quiet("being installed", time.Second, Follower{Last: 5, Pending: true, Answers: true, Busy: true})
	quiet("nothing to do", time.Hour, Follower{Last: 5, Answers: true})
	if found, hand := look(StuckAfter, pending); len(found) != 1 || !hand {
		t.Errorf("stuck: found %v, hands over: %v", found, hand)
	}
	quiet("said once, handed over once", time.Second, pending)

	s.Begin() // the same node leads again
	quiet("first sight in a new term", time.Hour, pending)
	if found, hand := look(StuckAfter, pending); len(found) != 1 || hand {
		t.Errorf("one that no leader brings forward: found %v, hands over: %v", found, hand)
	}
	handed := 0
	for i := range uint64(600) { // a follower that gets stuck for ever anew
		s.Begin()
		look(0, Follower{Last: 10 + 2*i, Answers: true})
		look(0, Follower{Last: 11 + 2*i, Pending: true, Answers: true})
		if _, hand := look(StuckAfter, Follower{Last: 11 + 2*i, Pending: true, Answers: true}); hand {
			handed++
		}
	}
	if handed < 2 || handed > 8 {
		t.Errorf("handed over %d times within two hours", handed)
	}
}

func TestSettingsAreKept(t *testing.T) {
	t.Parallel()
	db := fsmtest.NewCluster(t, 1, Tables...).DB[0]
	update := func(f func(tx *fsm.Tx) error) error { return db.Update(t.Context(), f) }
	load := func() Settings {
		var s Settings
		if err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
			s, err = Load(tx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if d := cmp.Diff(Default(), load()); d != "" {
		t.Error(d)
	}
	want := Settings{CleanupDead: true, DeadAfter: time.Hour, MinQuorum: 5, StabilizeAfter: time.Minute, MaxLag: 9}
	if err := update(func(tx *fsm.Tx) error { return Store(tx, want) }); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []func(*Settings){
		func(s *Settings) { s.DeadAfter = time.Second },
		func(s *Settings) { s.MinQuorum = 0 },
		func(s *Settings) { s.MinQuorum = 10 },
		func(s *Settings) { s.StabilizeAfter = -1 },
		func(s *Settings) { s.MaxLag = 0 },
	} {
		s := want
		bad(&s)
		if err := update(func(tx *fsm.Tx) error { return Store(tx, s) }); !errors.Is(err, fsm.ErrRefused) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, demoted := range []bool{true, true, false, false, true} {
		if err := update(func(tx *fsm.Tx) error { return SetDemoted(tx, "n1", demoted) }); err != nil {
			t.Fatal(err)
		}
		if err := db.View(t.Context(), func(tx *fsm.Tx) error {
			got, err := IsDemoted(tx, "n1")
			if got != demoted {
				t.Errorf("demoted: %v, want %v", got, demoted)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, load()); d != "" {
		t.Error(d)
	}
}
