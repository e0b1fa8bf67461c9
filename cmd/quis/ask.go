package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

func statusCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "status",
		Short:   "Show whether the cluster is healthy (exit code 0 healthy, 1 error, 2 degraded)",
		Example: "  quis status\n  quis status -o json --data-dir /var/lib/quis",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := askStatus(cmd)
			if err != nil {
				if code := exitCode(err); code == exitUsage {
					return err
				}
				return exitError{exitFailed, err.Error()}
			}
			health, code := judge(s)
			err = emit(cmd, s, nil, func(row func(...any)) {
				row("Health", health)
				row("Cluster", s.ClusterID)
				row("Answered by", s.NodeID+" ("+s.State+")")
				row("Leader", s.LeaderID)
				row("Term", s.Term)
				row("Log", fmt.Sprintf("applied %d, committed %d", s.AppliedIndex, s.CommitIndex))
				for _, m := range s.Members {
					row("Node "+m.ID, describe(m))
				}
			})
			if err == nil && code != exitOK {
				return exitError{code: code}
			}
			return err
		},
	})
}

func askStatus(cmd *cobra.Command) (*client.ClusterStatus, error) {
	if _, err := asJSON(cmd); err != nil {
		return nil, err
	}
	c, err := connect(cmd)
	if err != nil {
		return nil, err
	}
	ctx, cancel := asking(cmd)
	defer cancel()
	return c.Status(ctx)
}

// judge says in words how the cluster is, and how many failures it can take.
func judge(s *client.ClusterStatus) (string, int) {
	voters, alive := 0, 0
	for _, m := range s.Members {
		if m.Voter {
			voters++
			if answers(m) {
				alive++
			}
		}
	}
	switch spare := alive - (voters/2 + 1); {
	case s.LeaderID == "":
		return "degraded: there is no leader; nothing can be written", exitDegraded
	case !s.Ready:
		return "degraded: this node is not ready: " + s.NotReady, exitDegraded
	case alive < voters && spare <= 0:
		return fmt.Sprintf("degraded: %d of %d voters are alive; one more failure stops all writes", alive, voters), exitDegraded
	case alive < voters:
		return fmt.Sprintf("degraded: %d of %d voters are alive", alive, voters), exitDegraded
	case spare == 0:
		return "healthy; no failure is tolerated", exitOK
	case spare == 1:
		return "healthy; one failure is tolerated", exitOK
	default:
		return fmt.Sprintf("healthy; %d failures are tolerated", spare), exitOK
	}
}

// answers reports whether a node answered the one that was asked: gossip goes on
// calling a node alive for some seconds after its end.
func answers(m client.Member) bool { return m.Alive && m.AppliedIndex > 0 }

func describe(m client.Member) string {
	text := "alive"
	switch {
	case !m.Alive:
		text = "not seen"
	case !answers(m):
		text = "does not answer"
	}
	switch {
	case m.Leader:
		text += ", leader"
	case !m.Voter:
		text += ", not yet a voter"
	}
	if answers(m) {
		text += fmt.Sprintf(", applied %d", m.AppliedIndex)
	}
	return text + ", " + m.Address
}

func setupLinkCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "setup-link",
		Short:   "Make a new one-time link to create an administrator",
		Example: "  quis setup-link\n  quis setup-link --data-dir /var/lib/quis",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := asking(cmd)
			defer cancel()
			link, err := c.SetupLink(ctx)
			if err != nil {
				return err
			}
			err = emit(cmd, link, nil, func(row func(...any)) { row(link.URL) })
			fmt.Fprintf(cmd.ErrOrStderr(), "It works once, until %s.\n", link.ExpiresAt.Local().Format("15:04"))
			return err
		},
	})
}

func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "audit",
		Short:   "The record of everything that happened",
		Example: "  quis audit verify\n  quis audit verify -o json",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "verify",
		Short:   "Prove that no event was removed or changed (exit code 1 if one was)",
		Long:    "Recomputes the chain of hashes over every event on the node asked. Note the head down and compare it later: it must be found again in the same place.",
		Example: "  quis audit verify\n  quis audit verify -o json | jq -r .head",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := asking(cmd)
			defer cancel()
			v, err := c.VerifyAudit(ctx)
			if err != nil {
				return err
			}
			err = emit(cmd, v, nil, func(row func(...any)) {
				row("Intact", yes(v.Intact))
				row("Events", v.Entries)
				row("Head", v.Head)
				row("Node", v.NodeID)
				if v.Fault != "" {
					row("Fault", v.Fault)
				}
			})
			if err == nil && !v.Intact {
				return exitError{exitFailed, "the record of events is not intact: " + v.Fault}
			}
			return err
		},
	}))
	return c
}

func keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "keys",
		Short:   "The keys that sign tokens",
		Example: "  quis keys list\n  quis keys rotate --alg ES256",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "list",
		Short:   "List the signing keys with their phase",
		Example: "  quis keys list\n  quis keys list -o json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := asking(cmd)
			defer cancel()
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			return printKeys(cmd, keys)
		},
	}))
	rotate := online(&cobra.Command{
		Use:   "rotate",
		Short: "Publish successors of the signing keys now",
		Long: "The successor is published at once and signs when every node has it and caches have expired.\n" +
			"With --emergency it signs at once, the old key is gone, and everything it signed is void.",
		Example: "  quis keys rotate\n  quis keys rotate --alg RS256 --emergency",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			alg, _ := cmd.Flags().GetString("alg")
			emergency, _ := cmd.Flags().GetBool("emergency")
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := asking(cmd)
			defer cancel()
			keys, err := c.RotateKeys(ctx, alg, emergency)
			if err != nil {
				return err
			}
			return printKeys(cmd, keys)
		},
	})
	rotate.Flags().String("alg", "", "one algorithm only: ES256, RS256, PS256 or EdDSA (default: all in use)")
	rotate.Flags().Bool("emergency", false, "the old key has leaked: it is void at once")
	c.AddCommand(rotate)
	return c
}

func printKeys(cmd *cobra.Command, keys []client.Key) error {
	return emit(cmd, keys, []string{"KEY", "ALGORITHM", "STATE", "SINCE", "NEXT PHASE"}, func(row func(...any)) {
		for _, k := range keys {
			next := ""
			if k.NextAt != nil {
				next = k.NextAt.Local().Format(time.DateTime)
			}
			row(k.Kid, k.Alg, k.State, k.Since.Local().Format(time.DateTime), next)
		}
	})
}

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
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := asking(cmd)
			defer cancel()
			members, err := c.Members(ctx)
			if err != nil {
				return err
			}
			return emit(cmd, members, []string{"NODE", "ADDRESS", "ROLE", "ALIVE", "VERSION", "APPLIED"}, func(row func(...any)) {
				for _, m := range members {
					row(m.ID, m.Address, role(m), yes(answers(m)), m.Version, m.AppliedIndex)
				}
			})
		},
	}))
	return c
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
