package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/cmd/daemon"
)

func doctorCommand() *cobra.Command {
	c := online(&cobra.Command{
		Use:   "doctor",
		Short: "Examine every node and say what to do (exit code 0 well, 1 something failed, 2 something wants attention)",
		Long: "Has every node look at its disk, clock, certificates, keys and its way to the others, and at the issuer.\n" +
			"Changes nothing. With --config it also works while the node is down: then it looks at files, ports and names.",
		Example: "  quis doctor\n  quis doctor --config /etc/quis/quis.yaml",
		Args:    none,
		RunE:    examine,
	})
	c.Flags().StringP("config", "c", "", "configuration of a node on this machine, which may be down")
	return c
}

func examine(cmd *cobra.Command, args []string) error {
	ask := answer((*client.Client).Doctor, printDiagnosis)
	if file, _ := cmd.Flags().GetString("config"); file != "" {
		if cmd.Flags().Changed("addr") || cmd.Flags().Changed("data-dir") {
			return usage(cmd, "--config names a node of its own; leave out --addr and --data-dir")
		}
		config, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		if !runs(cmd.Context(), config.DataDir) {
			return printDiagnosis(cmd, offline(cmd.Context(), config))
		}
		if err := cmd.Flags().Set("data-dir", config.DataDir); err != nil {
			return err
		}
	}
	err := ask(cmd, args)
	var exit exitError
	if err == nil || errors.As(err, &exit) || exitCode(err) == exitUsage {
		return err
	}
	if errors.Is(err, errNoNode) {
		err = fmt.Errorf("%w; to examine a node that is down, name its --config", err)
	}
	return exitError{Code: exitFailed, Text: err.Error()}
}

// runs reports whether a node answers on the socket of that data directory.
func runs(ctx context.Context, dir string) bool {
	short, done, err := daemon.ShortSocketPath(filepath.Join(dir, socketName))
	if err != nil {
		return false
	}
	defer done()
	return knock(ctx, short) == nil
}

// offline examines a node that does not run, from here.
func offline(ctx context.Context, config daemon.Config) *client.Diagnosis {
	worst := checkup.OK
	d := &client.Diagnosis{}
	for _, f := range daemon.Examine(ctx, config) {
		worst = max(worst, f.Level)
		d.Findings = append(d.Findings, client.Finding{Node: config.NodeID, Check: f.Check, Level: f.Level.String(), Found: f.Found, Advice: f.Advice})
	}
	d.Level = worst.String()
	return d
}

func printDiagnosis(cmd *cobra.Command, d *client.Diagnosis) error {
	err := emit(cmd, d, []string{"RESULT", "NODE", "CHECK", "FOUND"}, func(row func(...any)) {
		for _, f := range d.Findings {
			row(f.Level, orElse(f.Node, "all"), f.Check, f.Found)
		}
	})
	if err != nil {
		return err
	}
	if json, _ := asJSON(cmd); !json {
		printAdvice(cmd, d)
	}
	switch d.Level {
	case "fail":
		return exitError{Code: exitFailed}
	case "warn":
		return exitError{Code: exitDegraded}
	}
	return nil
}

// printAdvice says what to do, the worst first.
func printAdvice(cmd *cobra.Command, d *client.Diagnosis) {
	w, n := cmd.OutOrStdout(), 0
	for _, level := range []string{"fail", "warn"} {
		for _, f := range d.Findings {
			if f.Level != level || f.Advice == "" {
				continue
			}
			if n++; n == 1 {
				fmt.Fprintln(w, "\nWhat to do:")
			}
			where := f.Check
			if f.Node != "" {
				where = f.Node + ", " + where
			}
			fmt.Fprintf(w, "%3d. %s: %s\n", n, where, f.Advice)
		}
	}
	if d.Level == "ok" {
		fmt.Fprintln(w, "\nAll is well.")
	}
}
