package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/client"
)

// The health is what an operator acts on: it says whether anything can be written.
func TestJudge(t *testing.T) {
	t.Parallel()
	voter := func(id string, alive, leads bool) client.Member {
		m := client.Member{ID: id, Voter: true, Leader: leads, Alive: alive}
		if alive {
			m.AppliedIndex = 7
		}
		return m
	}
	silent := voter("c", true, false)
	silent.AppliedIndex = 0 // gossip has not noticed yet
	behind := voter("c", true, false)
	behind.Reason = "is catching up"
	for name, c := range map[string]struct {
		leader  string // "starting": no majority has confirmed the node that is asked
		ready   bool
		members []client.Member
		text    string
		code    int
	}{
		"alone":          {"a", true, []client.Member{voter("a", true, true)}, "healthy; no failure is tolerated", exitOK},
		"all of three":   {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), voter("c", true, false)}, "healthy; one failure is tolerated", exitOK},
		"two of three":   {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), voter("c", false, false)}, "2 of 3 voters are alive; one more failure stops all writes", exitDegraded},
		"not noticed":    {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), silent}, "2 of 3 voters are alive; one more", exitDegraded},
		"a silent head":  {"a", true, []client.Member{voter("a", false, true), voter("b", true, false), voter("c", true, false)}, "no leader: a does not answer; nothing can be written", exitDegraded},
		"no head":        {"", true, []client.Member{voter("a", true, false), voter("b", true, false), voter("c", true, false)}, "no leader: nothing can be written", exitDegraded},
		"one of three":   {"a", true, []client.Member{voter("a", false, true), voter("b", true, false), voter("c", false, false)}, "no quorum: 1 of 3 voters is alive and 2 are needed; nothing can be written", exitDegraded},
		"not ready":      {"a", false, []client.Member{voter("a", true, true)}, "this node is not ready: fresh", exitDegraded},
		"nobody is told": {"", false, nil, "no leader", exitDegraded},
		"just begun":     {"starting", false, []client.Member{voter("a", true, false), voter("b", true, false), silent}, "starting: fresh", exitDegraded},
		"begun alone":    {"starting", false, []client.Member{voter("a", true, false), voter("b", false, false), silent}, "starting: 1 of 3 voters is answering; 2 are needed", exitDegraded},
		"one is behind":  {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), behind}, "degraded: 2 of 3 voters are healthy; one more failure stops all writes", exitDegraded},
		"with a learner": {"a", true, []client.Member{voter("a", true, true), {ID: "b"}}, "healthy; no failure", exitOK},
	} {
		s := &client.ClusterStatus{LeaderID: c.leader, Ready: c.ready, NotReady: "fresh", Members: c.members, Summary: "in words"}
		if c.leader == "starting" {
			s.State, s.LeaderID = c.leader, ""
		}
		for _, m := range c.members {
			if m.Voter && answers(m) && m.Reason == "" {
				s.Healthy++
			}
		}
		text, code := judge(s)
		if !strings.Contains(text, c.text) || code != c.code {
			t.Errorf("%s: %q and %d, want %q and %d", name, text, code, c.text, c.code)
		}
	}
}

// What is said of a node must not call it alive because it was so a moment ago.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]client.Member{
		"alive, leader, applied 7, a:1":                         {Role: "voter", Voter: true, Leader: true, Alive: true, Healthy: true, AppliedIndex: 7},
		"has not answered for 400ms, a:1":                       {Role: "voter", Voter: true, Reason: "has not answered for 400ms", AppliedIndex: 7},
		"alive, but is catching up, applied 7, a:1":             {Role: "voter", Voter: true, Alive: true, Reason: "is catching up", AppliedIndex: 7},
		"alive, not yet a voter, applied 7, a:1":                {Role: "joining", Alive: true, Healthy: true, AppliedIndex: 7},
		"alive, no voter by an operator's wish, applied 7, a:1": {Role: "non-voter", Alive: true, Healthy: true, AppliedIndex: 7},
		"does not answer, a:1":                                  {Voter: true, Alive: true}, // of an older server
		"not seen, a:1":                                         {Voter: true},
	} {
		m.Address = "a:1"
		if got := describe(m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Who has just started announces its release a moment later: that is no other release.
func TestReleases(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"1.0": "", "1.1": "Releases no release announced yet on b", "": "Releases no release announced yet on b"} {
		said := ""
		releases(&client.ClusterStatus{
			Members:  []client.Member{{ID: "a", Version: "1.0"}, {ID: "b", Version: version}},
			Features: &client.ClusterFeatures{Skew: "no release announced yet on b"},
		}, func(cells ...any) { said += fmt.Sprint(cells[0], " ", cells[1]) })
		if said != want {
			t.Errorf("beside 1.0, of %q: %q", version, said)
		}
	}
}
