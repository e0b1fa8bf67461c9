package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

func statusCommand() *cobra.Command {
	var ready bool
	c := waitFlag(online(&cobra.Command{
		Use:     "status",
		Short:   "Show whether the cluster is healthy (exit code 0 healthy, 1 error, 2 anything else)",
		Example: "  quis status -o json --data-dir /var/lib/quis\n  quis status --wait   # until the node just restarted is back",
		Args:    none,
		RunE: health(func(cmd *cobra.Command, s *client.ClusterStatus) error {
			return printStatus(cmd, s, ready)
		}),
	}))
	c.Flags().BoolVar(&ready, "ready", false, "the exit code tells of the node asked alone: 0 ready, 1 not (for a container's health check)")
	return c
}

// health is what a command runs whose exit code is the health of the cluster: any error
// ends with code 1, because the other codes would be taken for a health.
func health(print func(*cobra.Command, *client.ClusterStatus) error) func(*cobra.Command, []string) error {
	ask := answer((*client.Client).Status, print)
	return func(cmd *cobra.Command, args []string) error {
		settled(cmd)
		err := ask(cmd, args)
		var exit exitError
		if err == nil || errors.As(err, &exit) || exitCode(err) == exitUsage {
			return err
		}
		return exitError{Code: exitFailed, Text: err.Error()}
	}
}

// releases says what the members read in common, if there is something to say: who has just
// started announces its release a moment later, which is no other release.
func releases(s *client.ClusterStatus, row func(...any)) {
	f := s.Features
	if f.Skew != "" && slices.ContainsFunc(s.Members, func(m client.Member) bool { return m.Version == "" || m.Version != s.Members[0].Version }) {
		row("Releases", f.Skew)
	}
	for _, a := range f.Active {
		row("Feature "+a.Name, "in use since "+a.Since.Format(time.DateOnly)+": no older release can join")
	}
	for _, w := range f.Waiting {
		row("Feature "+w.Name, "waits for "+strings.Join(w.Missing, ", "))
	}
}

func printStatus(cmd *cobra.Command, s *client.ClusterStatus, ready bool) error {
	sortMembers(s.Members)
	health, code := judge(s)
	err := emit(cmd, s, nil, func(row func(...any)) {
		row("Health", health)
		row("Cluster", s.ClusterID)
		row("Answered by", s.NodeID+" ("+s.State+")")
		row("Leader", s.LeaderID)
		row("Term", s.Term)
		row("Log", fmt.Sprintf("applied %d, committed %d", s.AppliedIndex, s.CommitIndex))
		for _, m := range s.Members {
			row("Node "+m.ID, describe(m))
		}
		if s.Features != nil {
			releases(s, row)
		}
	})
	switch {
	case err != nil:
		return err
	case ready && !s.Ready:
		return exitError{Code: exitFailed, Text: s.NodeID + " is not ready: " + s.NotReady}
	case !ready && code != exitOK:
		return exitError{Code: code}
	}
	return nil
}

// judge says in words how the cluster is, and how many failures it can take.
func judge(s *client.ClusterStatus) (string, int) {
	voters, alive, silent := 0, 0, ""
	for _, m := range s.Members {
		switch {
		case m.Voter && answers(m):
			voters, alive = voters+1, alive+1
		case m.Voter:
			voters++
			if m.Leader {
				silent = m.ID
			}
		}
	}
	quorum := voters/2 + 1
	switch {
	case s.State == "starting" && alive >= quorum:
		return "starting: " + cmp.Or(s.NotReady, "no majority has confirmed this node yet"), exitDegraded
	case s.State == "starting" && voters > 0:
		return fmt.Sprintf("starting: %s; %d are needed", portion(alive, voters, "answering"), quorum), exitDegraded
	case voters > 0 && alive < quorum:
		return fmt.Sprintf("no quorum: %s and %d are needed; nothing can be written, nobody can sign in", portion(alive, voters, "alive"), quorum), exitDegraded
	case s.LeaderID == "":
		return "no leader: nothing can be written until one is elected", exitDegraded
	case silent != "":
		return "no leader: " + silent + " does not answer; nothing can be written until another is elected", exitDegraded
	case !s.Ready:
		return "degraded: this node is not ready: " + s.NotReady, exitDegraded
	}
	healthy := alive
	if s.Summary != "" { // the server watches its members more closely than it asks them here
		healthy = min(alive, s.Healthy)
	}
	how := "alive"
	if healthy < alive {
		how = "healthy"
	}
	switch spare := healthy - quorum; {
	case healthy < voters && spare <= 0:
		return "degraded: " + portion(healthy, voters, how) + "; one more failure stops all writes", exitDegraded
	case healthy < voters:
		return "degraded: " + portion(healthy, voters, how), exitDegraded
	case spare == 0:
		return "healthy; no failure is tolerated", exitOK
	case spare == 1:
		return "healthy; one failure is tolerated", exitOK
	default:
		return fmt.Sprintf("healthy; %d failures are tolerated", spare), exitOK
	}
}

func portion(n, voters int, how string) string {
	verb := "are"
	if n == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%d of %d voters %s %s", n, voters, verb, how)
}

// sortMembers puts nodes in the order of their names; they come in that of joining.
func sortMembers(members []client.Member) {
	slices.SortFunc(members, func(a, b client.Member) int { return strings.Compare(a.ID, b.ID) })
}

// answers reports whether a node answered the one that was asked: an older server goes on
// calling a node alive for some seconds after its end.
func answers(m client.Member) bool { return m.Alive && m.AppliedIndex > 0 }

func describe(m client.Member) string {
	text := "alive"
	switch {
	case m.Reason != "" && !m.Alive: // "has not answered for 3s"
		text = m.Reason
	case m.Reason != "": // "is catching up"
		text += ", but " + m.Reason
	case !m.Alive:
		text = "not seen"
	case !answers(m):
		text = "does not answer"
	}
	switch {
	case m.Leader:
		text += ", leader"
	case m.Role == "non-voter":
		text += ", no voter by an operator's wish"
	case !m.Voter:
		text += ", not yet a voter"
	}
	if answers(m) {
		text += fmt.Sprintf(", applied %d", m.AppliedIndex)
	}
	return text + ", " + m.Address
}
