package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/demo"
	"github.com/quis-idp/quis/cmd/dev"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func devCommand() *cobra.Command {
	var o dev.Options
	c := &cobra.Command{
		Use:     "dev",
		Short:   "Run a cluster on this machine, with a demo application",
		Long:    "Runs one node, or several as processes of their own behind a small proxy, on loopback only.\nThe issuer is http://localhost:8080, unless --port says another port. Browsers keep\ncookies by host and not by port: people of two houses are best in two browsers.",
		Example: "  quis dev\n  quis dev --nodes 3 --bootstrap deploy/bootstrap.yaml",
		Args:    groupArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := dev.Signals(cmd.Context())
			defer stop()
			if o.Bootstrap == "" {
				o.Bootstrap = os.Getenv("QUIS_BOOTSTRAP_FILE")
			}
			o.Version, o.Program, o.DirFlag, o.Out = daemon.Version, line.Program(), line.Where(cmd), cmd.OutOrStdout()
			o.SetupLink, o.Cluster = setupLinkOf, clusterOf
			return dev.Run(ctx, o)
		},
	}
	line.Between(c, &o.Nodes, "nodes", 1, dev.MaxNodes, fmt.Sprintf("how many nodes, 1 to %d; a cluster that is there can grow\n(default: those of the data directory, or 1)", dev.MaxNodes))
	line.Between(c, &o.Port, "port", dev.MinPort, dev.MaxPort, fmt.Sprintf("port of the issuer, %d to %d; the demo application is %d above it, metrics 1000\n(default: that of the data directory, or %d)", dev.MinPort, dev.MaxPort, demo.Above, dev.DefaultPort))
	c.Flags().StringVar(&o.Bootstrap, "bootstrap", "", "YAML file of users, groups, applications and tokens to create\n(default: $QUIS_BOOTSTRAP_FILE)")
	c.Flags().BoolVar(&o.Reset, "reset", false, "delete the data first")
	c.Flags().StringVar(&o.LogLevel, "log-level", "info", "what the nodes log: debug, info, warn or error")
	c.PersistentFlags().StringVar(&o.Dir, "data-dir", devDir, "where the nodes keep their data")
	complete(c, "log-level", "debug", "info", "warn", "error")
	for _, a := range []struct{ name, short string }{
		{"kill", "Kill node N as a power cut would (SIGKILL)"},
		{"stop", "Stop node N in order"},
		{"start", "Start node N again"},
	} {
		c.AddCommand(&cobra.Command{
			Use:     a.name + " N",
			Short:   a.short,
			Example: fmt.Sprintf("  quis dev %s 2\n  quis dev %s 1 --data-dir /tmp/house", a.name, a.name),
			Args:    exactly("the number of a node"),
			RunE: func(cmd *cobra.Command, args []string) error {
				i, err := strconv.Atoi(args[0])
				if err != nil {
					return usage(cmd, "%q is not the number of a node", args[0])
				}
				ctx, cancel := asking(cmd)
				defer cancel()
				return dev.Connect(o.Dir).Do(ctx, a.name, i)
			},
		})
	}
	c.AddCommand(devStatusCommand(&o.Dir))
	return c
}

func devStatusCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show the nodes (exit code 0 if all are ready, 2 if not)",
		Example: "  quis dev status\n  quis dev status -o json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := asking(cmd)
			defer cancel()
			nodes, err := dev.Connect(*dir).Status(ctx)
			if err != nil {
				return err
			}
			code := exitOK
			err = emit(cmd, nodes, []string{"NODE", "PID", "STATE", "READY", "ROLE", "URL"}, func(row func(...any)) {
				for _, n := range nodes {
					pid, role := "", ""
					if n.PID != 0 {
						pid = strconv.Itoa(n.PID)
					}
					switch {
					case n.Leader:
						role = "leader"
					case n.Joining:
						role = "joining"
					case n.Ready:
						role = "follower"
					}
					row(n.Name, pid, n.State, yes(n.Ready), role, n.URL)
				}
			})
			for _, n := range nodes {
				if !n.Ready {
					code = exitDegraded
				}
			}
			if err == nil && code != exitOK {
				return exitError{Code: code}
			}
			return err
		},
	}
}

// setupLinkOf returns a new setup link, and whether it would make the first administrator.
func setupLinkOf(ctx context.Context, dir string) (url string, first bool, err error) {
	c, err := connectDir(ctx, dir)
	if err != nil {
		return "", false, err
	}
	first = true
	for u, err := range client.All(ctx, client.List{Limit: 200, Consistent: true}, c.Users.List) {
		if err != nil {
			return "", false, err
		}
		if u.Admin && !u.Disabled {
			first = false
			break
		}
	}
	link, err := c.SetupLink(ctx)
	if err != nil {
		return "", false, err
	}
	return link.URL, first, nil
}

// clusterOf returns which node leads, and which have the place that they shall have.
func clusterOf(ctx context.Context, dir string) (leader string, settled []string, err error) {
	c, err := connectDir(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, m := range s.Members {
		if m.Role != "joining" {
			settled = append(settled, m.ID)
		}
	}
	return s.LeaderID, settled, nil
}
