package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

// waitFlag lets a command wait until the cluster is well before it says how it is:
// scripts that take one node after another stand on it.
func waitFlag(c *cobra.Command) *cobra.Command {
	c.Flags().Duration("wait", 0, "first wait so long until the cluster is healthy and nobody is still joining (--wait alone: 2m)")
	c.Flags().Lookup("wait").NoOptDefVal = "2m"
	return c
}

// settled waits as the --wait flag of cmd says, also for the node to be there at all.
// That time is up is no error: what is said then is how the cluster is.
func settled(cmd *cobra.Command) {
	patience, _ := cmd.Flags().GetDuration("wait")
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		c, err := connect(cmd)
		if err != nil && exitCode(err) == exitUsage {
			return
		}
		if err == nil {
			if s, err := c.Status(ctx); err == nil && well(s) {
				return
			}
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// well says whether the cluster is healthy and every node has got its place.
func well(s *client.ClusterStatus) bool {
	_, code := judge(s)
	return code == exitOK && !slices.ContainsFunc(s.Members, func(m client.Member) bool { return m.Role == "joining" })
}
