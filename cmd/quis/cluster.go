package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func clusterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "cluster",
		Short:   "The nodes of the cluster",
		Example: "  quis cluster status\n  quis cluster remove node-3",
	}
	group(c)
	c.AddCommand(clusterStatusCommand(), membersCommand(), transferCommand(), removeCommand(), demoteCommand(), promoteCommand(), autopilotCommand(), tokenCommand(), authorityCommand())
	return c
}

func clusterStatusCommand() *cobra.Command {
	return waitFlag(online(&cobra.Command{
		Use:     "status",
		Short:   "Say what the cluster tolerates, and how each node is (exit code 0 healthy, 1 error, 2 anything else)",
		Example: "  quis cluster status\n  quis cluster status -o json | jq .tolerates",
		Args:    none,
		RunE:    health(printClusterStatus),
	}))
}

func printClusterStatus(cmd *cobra.Command, s *client.ClusterStatus) error {
	sortMembers(s.Members)
	_, code := judge(s)
	json, err := asJSON(cmd)
	if err != nil {
		return err
	}
	if !json {
		fmt.Fprintf(cmd.OutOrStdout(), "%s.\n\n", firstUpper(tolerance(s)))
	}
	if err := emitMembers(cmd, s, s.Members); err != nil {
		return err
	}
	if code != exitOK {
		return exitError{Code: code}
	}
	return nil
}

// tolerance says what the cluster survives: in the server's words, or for an older server in ours.
func tolerance(s *client.ClusterStatus) string {
	if s.Summary != "" && s.State != "starting" { // then it knows nothing of the others
		return s.Summary
	}
	text, _ := judge(s)
	return text
}

func membersCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "members",
		Short:   "List the nodes",
		Example: "  quis cluster members\n  quis cluster members -o json",
		Args:    none,
		RunE: answer((*client.Client).Members, func(cmd *cobra.Command, members []client.Member) error {
			sortMembers(members)
			return emitMembers(cmd, members, members)
		}),
	})
}

func emitMembers(cmd *cobra.Command, data any, members []client.Member) error {
	return emit(cmd, data, []string{"NODE", "ROLE", "HEALTH", "APPLIED", "LAG", "SEEN", "CLOCK", "VERSION", "ADDRESS"}, func(row func(...any)) {
		for _, m := range members {
			row(m.ID, role(m), condition(m), m.AppliedIndex, m.Lag, seen(m), clock(m), m.Version, m.Address)
		}
	})
}

func role(m client.Member) string {
	switch {
	case m.Leader:
		return "leader"
	case m.Role != "":
		return m.Role
	case m.Voter:
		return "voter"
	}
	return "joining"
}

func condition(m client.Member) string {
	switch {
	case m.Reason != "":
		return m.Reason
	case m.Healthy, m.Role == "" && answers(m): // an older server does not say
		return "healthy"
	case !answers(m):
		return "does not answer"
	}
	return "not healthy"
}

func seen(m client.Member) string {
	switch {
	case m.LastSeen == nil:
		return ""
	case m.Reason == "" && time.Since(*m.LastSeen) < 2*time.Second:
		return "now"
	}
	return time.Since(*m.LastSeen).Round(time.Second).String() + " ago"
}

func clock(m client.Member) string {
	if m.ClockErrorUS == 0 {
		return ""
	}
	return fmt.Sprintf("%+d ms", (m.ClockOffsetUS+sign(m.ClockOffsetUS)*500)/1000)
}

func sign(n int64) int64 {
	if n < 0 {
		return -1
	}
	return 1
}

func transferCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "transfer [NODE]",
		Short:   "Hand leadership to another node",
		Long:    "Hands leadership to NODE, or to the voter that is furthest. Nothing that was asked meanwhile fails.",
		Example: "  quis cluster transfer\n  quis cluster transfer node-2",
		Args:    atMost("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := ""
			if len(args) > 0 {
				to = args[0]
			}
			return answer(func(c *client.Client, ctx context.Context) (*client.ClusterStatus, error) {
				before, err := c.Status(ctx)
				if err != nil {
					return nil, err
				}
				if err := c.Transfer(ctx, to); err != nil {
					return nil, err
				}
				return led(ctx, c, before.LeaderID, to)
			}, func(cmd *cobra.Command, s *client.ClusterStatus) error {
				return done(cmd, s, "Node %s leads.", orElse(s.LeaderID, "nobody yet"))
			})(cmd, args)
		},
	})
}

// led waits a moment until the node that is asked has seen the new leader.
func led(ctx context.Context, c *client.Client, before, to string) (*client.ClusterStatus, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		s, err := c.Status(ctx)
		if err != nil || tries == 40 || s.LeaderID != "" && (s.LeaderID == to || to == "" && s.LeaderID != before) {
			return s, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, nil // it was handed over; who has it now is only news
		}
	}
}

func removeCommand() *cobra.Command {
	var force, sure bool
	c := online(&cobra.Command{
		Use:   "remove NODE",
		Short: "Take a node out of the cluster for good",
		Long: "Takes a node out of the cluster. It stops serving as soon as it hears of it, and comes back only with an empty data directory.\n" +
			"A node that is not healthy may be removed while most of the others are. A healthy one is kept where\n" +
			"too few voters would remain; --force removes it all the same.",
		Example: "  quis cluster remove node-3\n  quis cluster remove node-3 --force --yes",
		Args:    exactly("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, args[0], sure, "Removing "+args[0]+" is for good: it leaves the cluster and stops serving.",
				func(c *client.Client, ctx context.Context) error { return c.RemoveMember(ctx, args[0], force) },
				"Node %s is no member any more. Now stop it, and empty its data directory.", args[0])
		},
	})
	c.Flags().BoolVar(&force, "force", false, "also where too few voters remain; never needed while all is well")
	sureFlag(c, &sure)
	return c
}

func demoteCommand() *cobra.Command {
	var force, sure bool
	c := online(&cobra.Command{
		Use:   "demote NODE",
		Short: "Take a node's vote away; it goes on serving",
		Long: "Takes a node's vote away until it is promoted again. It goes on following and serving.\n" +
			"Refused as removing it would be; --force does it all the same.",
		Example: "  quis cluster demote node-3\n  quis cluster demote node-3 --yes",
		Args:    exactly("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, args[0], sure, "Without the vote of "+args[0]+" the cluster tolerates fewer failures.",
				func(c *client.Client, ctx context.Context) error { return c.DemoteMember(ctx, args[0], force) },
				"Node %s follows and does not vote.", args[0])
		},
	})
	c.Flags().BoolVar(&force, "force", false, "also where too few voters remain; never needed while all is well")
	sureFlag(c, &sure)
	return c
}

func promoteCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "promote NODE",
		Short:   "Let a node vote, at once",
		Long:    "Lets a node vote. New nodes get their vote by themselves once they have kept up for a while.",
		Example: "  quis cluster promote node-3\n  quis cluster promote node-3 -o json",
		Args:    exactly("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, args[0], true, "",
				func(c *client.Client, ctx context.Context) error { return c.PromoteMember(ctx, args[0]) },
				"Node %s votes.", args[0])
		},
	})
}

// change asks whoever sits there to confirm, does it, and prints the cluster as it then is.
func change(cmd *cobra.Command, node string, sure bool, warning string, do func(*client.Client, context.Context) error, said string, args ...any) error {
	if err := isMember(cmd, node); err != nil {
		return err
	}
	if err := confirm(cmd, node, sure, warning); err != nil {
		return err
	}
	return answer(func(c *client.Client, ctx context.Context) (*client.ClusterStatus, error) {
		if err := do(c, ctx); err != nil {
			return nil, err
		}
		return c.Status(ctx)
	}, func(cmd *cobra.Command, s *client.ClusterStatus) error { return done(cmd, s, said, args...) })(cmd, nil)
}

// isMember makes sure that the cluster has such a node.
func isMember(cmd *cobra.Command, node string) error {
	return answer((*client.Client).Status, func(_ *cobra.Command, s *client.ClusterStatus) error {
		var names []string
		for _, m := range s.Members {
			names = append(names, m.ID)
		}
		if slices.Contains(names, node) {
			return nil
		}
		slices.Sort(names)
		return exitError{Code: exitNotFound, Text: fmt.Sprintf("%s is no member of this cluster; it has %s", line.Plain(node), strings.Join(names, ", "))}
	})(cmd, nil)
}

// done says on standard error what was done, and on standard output how things are now.
func done(cmd *cobra.Command, s *client.ClusterStatus, format string, args ...any) error {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	sortMembers(s.Members)
	return emitMembers(cmd, s, s.Members)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func firstUpper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".")
}
