package main

import (
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

func clusterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "cluster",
		Short:   "The nodes of the cluster",
		Example: "  quis cluster members\n  quis cluster members -o json",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "members",
		Short:   "List the nodes",
		Example: "  quis cluster members\n  quis cluster members -o json",
		Args:    none,
		RunE:    answer((*client.Client).Members, printMembers),
	}))
	return c
}

func printMembers(cmd *cobra.Command, members []client.Member) error {
	sortMembers(members)
	return emit(cmd, members, []string{"NODE", "ADDRESS", "ROLE", "ALIVE", "VERSION", "APPLIED"}, func(row func(...any)) {
		for _, m := range members {
			row(m.ID, m.Address, role(m), yes(answers(m)), m.Version, m.AppliedIndex)
		}
	})
}

func role(m client.Member) string {
	switch {
	case m.Leader:
		return "leader"
	case m.Voter:
		return "voter"
	}
	return "learner"
}
