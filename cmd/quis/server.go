package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
)

func serverCommand() *cobra.Command {
	var withStdin bool
	c := &cobra.Command{
		Use:     "server",
		Short:   "Run one node",
		Long:    "Runs one node until it gets SIGTERM or Ctrl-C, then hands leadership over and stops in order.\nEvery key of the file has a flag and an environment variable: cluster.listen is --cluster-listen and QUIS_CLUSTER_LISTEN.",
		Example: "  quis server --config /etc/quis/quis.yaml\n  QUIS_ROOT_KEY_FILE=root.key quis server --data-dir data --public-url http://localhost:8080",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if withStdin {
				ctx = untilClosed(ctx, cmd.InOrStdin())
			}
			return daemon.Run(ctx, config)
		},
	}
	configFlags(c)
	c.Flags().BoolVar(&withStdin, "until-stdin-closes", false, "stop when standard input ends")
	if err := c.Flags().MarkHidden("until-stdin-closes"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return c
}

// untilClosed returns a context that ends with in, so that a child of `quis dev`
// ends with its parent, however that dies.
func untilClosed(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, in) // that it ended is what counts
		cancel()
	}()
	return ctx
}

// configFlags gives c a flag for the file and for each setting that is no secret.
func configFlags(c *cobra.Command) {
	c.Flags().StringP("config", "c", "", "configuration file (default: $QUIS_CONFIG)")
	defaults := daemon.Default()
	defaults.NodeID = "" // the host's name says nothing to a reader
	for _, s := range daemon.Settings() {
		switch {
		case s.Secret:
		case s.List:
			c.Flags().StringSlice(s.Flag(), nil, s.Doc)
		default:
			c.Flags().String(s.Flag(), s.Value(&defaults), s.Doc)
		}
	}
}

// loadConfig reads flags, environment and file, and checks the outcome.
func loadConfig(cmd *cobra.Command) (daemon.Config, error) {
	src := daemon.Source{Env: os.Environ(), Flags: map[string][]string{}}
	if src.File, _ = cmd.Flags().GetString("config"); src.File == "" {
		src.File = os.Getenv("QUIS_CONFIG")
	}
	for _, s := range daemon.Settings() {
		f := cmd.Flags().Lookup(s.Flag())
		if f == nil || !f.Changed {
			continue
		}
		if s.List {
			src.Flags[s.Key], _ = cmd.Flags().GetStringSlice(s.Flag())
		} else {
			src.Flags[s.Key] = []string{f.Value.String()}
		}
	}
	config, err := daemon.Load(src)
	if err != nil {
		return config, err
	}
	if err = config.Validate(); err != nil && src.File == "" {
		err = errors.Join(err, errors.New("no configuration file was named: --config does (`quis init` writes one)"))
	}
	return config, err
}
