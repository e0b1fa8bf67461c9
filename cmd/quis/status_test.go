package main

import (
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
	for name, c := range map[string]struct {
		leader  string
		ready   bool
		members []client.Member
		text    string
		code    int
	}{
		"alone":          {"a", true, []client.Member{voter("a", true, true)}, "healthy; no failure is tolerated", exitOK},
		"all of three":   {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), voter("c", true, false)}, "healthy; one failure is tolerated", exitOK},
		"two of three":   {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), voter("c", false, false)}, "2 of 3 voters are alive; one more failure stops all writes", exitDegraded},
		"not noticed":    {"a", true, []client.Member{voter("a", true, true), voter("b", true, false), silent}, "2 of 3 voters are alive; one more", exitDegraded},
		"a silent head":  {"a", true, []client.Member{voter("a", false, true), voter("b", true, false), voter("c", true, false)}, "the leader a does not answer; nothing can be written", exitDegraded},
		"no head":        {"", true, []client.Member{voter("a", true, false), voter("b", true, false), voter("c", true, false)}, "there is no leader", exitDegraded},
		"one of three":   {"a", true, []client.Member{voter("a", false, true), voter("b", true, false), voter("c", false, false)}, "1 of 3 voters is alive; 2 are needed: nothing can be written", exitDegraded},
		"not ready":      {"a", false, []client.Member{voter("a", true, true)}, "this node is not ready: fresh", exitDegraded},
		"nobody is told": {"", false, nil, "there is no leader", exitDegraded},
		"with a learner": {"a", true, []client.Member{voter("a", true, true), {ID: "b"}}, "healthy; no failure", exitOK},
	} {
		text, code := judge(&client.ClusterStatus{LeaderID: c.leader, Ready: c.ready, NotReady: "fresh", Members: c.members})
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
