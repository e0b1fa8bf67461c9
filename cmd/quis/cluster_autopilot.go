package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

func autopilotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "autopilot",
		Short:   "The rules by which nodes are let in and removed",
		Example: "  quis cluster autopilot show\n  quis cluster autopilot set --cleanup-dead --dead-after 10m",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "show",
		Short:   "Show the rules",
		Example: "  quis cluster autopilot show\n  quis cluster autopilot show -o json",
		Args:    none,
		RunE:    answer((*client.Client).Autopilot, printAutopilot),
	}), setAutopilotCommand())
	return c
}

func setAutopilotCommand() *cobra.Command {
	var cleanup bool
	var dead, stable time.Duration
	var quorum int
	var lag uint64
	c := online(&cobra.Command{
		Use:     "set",
		Short:   "Change the rules that flags name; the others stay",
		Example: "  quis cluster autopilot set --cleanup-dead --dead-after 10m\n  quis cluster autopilot set --cleanup-dead=false",
		Args:    none,
		RunE: func(cmd *cobra.Command, args []string) error {
			var f client.AutopilotFields
			changed := false
			given := func(name string) bool {
				is := cmd.Flags().Changed(name)
				changed = changed || is
				return is
			}
			if given("cleanup-dead") {
				f.CleanupDead = &cleanup
			}
			if given("dead-after") {
				f.DeadAfterSeconds = seconds(dead)
			}
			if given("min-quorum") {
				f.MinQuorum = &quorum
			}
			if given("stabilize-after") {
				f.StabilizeSeconds = seconds(stable)
			}
			if given("max-lag") {
				f.MaxLag = &lag
			}
			if !changed {
				return usage(cmd, "name at least one rule to change")
			}
			return answer(func(c *client.Client, ctx context.Context) (*client.Autopilot, error) {
				return c.SetAutopilot(ctx, f)
			}, printAutopilot)(cmd, args)
		},
	})
	c.Flags().BoolVar(&cleanup, "cleanup-dead", false, "remove voters that have died, where enough others remain")
	c.Flags().DurationVar(&dead, "dead-after", 0, "how long a node must be silent to count as dead")
	c.Flags().IntVar(&quorum, "min-quorum", 0, "healthy voters below which nobody healthy is removed without --force, and nobody automatically")
	c.Flags().DurationVar(&stable, "stabilize-after", 0, "how long a new node must be healthy before it votes")
	c.Flags().Uint64Var(&lag, "max-lag", 0, "log entries that a healthy node may be behind the leader")
	return c
}

func seconds(d time.Duration) *int {
	s := int(d / time.Second)
	return &s
}

func printAutopilot(cmd *cobra.Command, a *client.Autopilot) error {
	return emit(cmd, a, nil, func(row func(...any)) {
		row("Remove dead voters", yes(a.CleanupDead))
		row("Dead after", time.Duration(a.DeadAfterSeconds)*time.Second)
		row("Voters to keep", a.MinQuorum)
		row("New nodes vote after", time.Duration(a.StabilizeSeconds)*time.Second)
		row("Entries behind at most", a.MaxLag)
	})
}
