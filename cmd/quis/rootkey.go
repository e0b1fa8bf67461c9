package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/keys/seal"
)

func rootKeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "root-key",
		Short: "The root key, and how to replace it",
		Long: "Replaces the root key without an outage: add a new one to the root key file of every node, use it on\n" +
			"every node, drop the former from every node; after each step restart the nodes one by one. The commands\n" +
			"edit the file of this node and never print a key.",
		Example: "  quis root-key show\n  quis root-key add --config /etc/quis/quis.yaml",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "show",
		Short:   "Show which nodes know which root keys, and what comes next",
		Example: "  quis root-key show\n  quis root-key show -o json | jq .droppable",
		Args:    none,
		RunE:    answer((*client.Client).RootKey, printRootKey),
	}), editCommand(&cobra.Command{
		Use: "add", Short: "Add a new key to the root key file, behind the one in use",
		Example: "  quis root-key add --config /etc/quis/quis.yaml\n  quis root-key add --root-key-file /etc/quis/root.key",
	}, addRootKey), editCommand(&cobra.Command{
		Use: "use", Short: "Put the second key of the root key file first",
		Example: "  quis root-key use --config /etc/quis/quis.yaml\n  quis root-key use --root-key-file /etc/quis/root.key",
	}, useRootKey), editCommand(&cobra.Command{
		Use: "drop", Short: "Remove all keys but the first from the root key file",
		Example: "  quis root-key drop --config /etc/quis/quis.yaml\n  quis root-key drop --root-key-file /etc/quis/root.key",
	}, dropRootKeys))
	return c
}

func printRootKey(cmd *cobra.Command, s *client.RootKey) error {
	err := emit(cmd, s, []string{"NODE", "IN USE", "ALSO KNOWS", "WAITING"}, func(row func(...any)) {
		for _, m := range s.Members {
			use, also := "", ""
			if len(m.Keys) > 0 {
				use, also = m.Keys[0], strings.Join(m.Keys[1:], " ")
			}
			row(m.ID, use, also, m.Waiting)
		}
	})
	if err != nil {
		return err
	}
	if json, err := asJSON(cmd); json || err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	err = emit(cmd, s, []string{"WRAPPED", "UNDER"}, func(row func(...any)) {
		for _, i := range s.Items {
			row(i.Name, strings.Join(i.Keys, " "))
		}
	})
	if err == nil {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n", s.Step)
	}
	return err
}

// A keyEdit is what a command finds out before it edits the root key file.
type keyEdit struct {
	file    string
	keys    *seal.RootKey   // in the file
	cluster *client.RootKey // nil: no node answers
	fault   error           // why not
	force   bool
}

// refuse returns an error, unless --force was given.
func (e *keyEdit) refuse(format string, a ...any) error {
	if e.force {
		return nil
	}
	return exitError{Code: exitConflict, Text: fmt.Sprintf(format, a...) + "; nothing was changed (--force does it all the same)"}
}

// editCommand completes a command that edits the file. do returns what shall be in it, nil
// for what is, and what to tell.
func editCommand(c *cobra.Command, do func(*keyEdit) (*seal.RootKey, string, error)) *cobra.Command {
	online(c)
	c.Args = none
	c.Flags().StringP("config", "c", "", "configuration of the node, which names the file (default: $QUIS_CONFIG)")
	c.Flags().String("root-key-file", os.Getenv("QUIS_ROOT_KEY_FILE"), "the file itself")
	force := c.Flags().Bool("force", false, "also when the cluster says no, or cannot be asked")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		e, err := beginEdit(cmd, *force)
		if err != nil {
			return err
		}
		next, said, err := do(e)
		if err == nil && next != nil {
			err = seal.ReplaceRootKey(e.file, next)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), said)
		return nil
	}
	return c
}

func beginEdit(cmd *cobra.Command, force bool) (*keyEdit, error) {
	e := &keyEdit{force: force}
	e.file, _ = cmd.Flags().GetString("root-key-file")
	if e.file == "" {
		config, err := loadConfig(cmd)
		if err != nil {
			return nil, err
		}
		if e.file = config.RootKeyFile; e.file == "" {
			return nil, usage(cmd, "the configuration names no root key file: edit QUIS_ROOT_KEY where it is set, keys separated by commas, the one in use first")
		}
		if !cmd.Flags().Changed("data-dir") && !cmd.Flags().Changed("addr") {
			if err := cmd.Flags().Set("data-dir", config.DataDir); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if e.keys, err = seal.LoadRootKey(e.file, ""); err != nil {
		return nil, err
	}
	e.cluster, e.fault = askRootKey(cmd)
	return e, nil
}

func askRootKey(cmd *cobra.Command) (*client.RootKey, error) {
	c, err := connect(cmd)
	if err != nil {
		return nil, err
	}
	ctx, cancel := asking(cmd)
	defer cancel()
	return rootKeyOf(ctx, c)
}

func rootKeyOf(ctx context.Context, c *client.Client) (*client.RootKey, error) {
	s, err := c.RootKey(ctx)
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Status == 404 {
		err = errors.New("the node runs a release that knows one root key only")
	}
	return s, err
}

// asked refuses while the cluster cannot be asked.
func (e *keyEdit) asked() error {
	if e.cluster == nil {
		return e.refuse("the cluster cannot be asked (%v)", e.fault)
	}
	return nil
}

func addRootKey(e *keyEdit) (*seal.RootKey, string, error) {
	if ids := e.keys.IDs(); len(ids) > 1 {
		if err := e.refuse("%s holds root keys %s already: finish that change with quis root-key use and drop", e.file, strings.Join(ids, ", ")); err != nil {
			return nil, "", err
		}
	}
	if err := e.asked(); err != nil {
		return nil, "", err
	}
	if e.cluster != nil {
		for _, m := range e.cluster.Members {
			if len(m.Keys) == 0 {
				if err := e.refuse("node %s: %s", m.ID, m.Waiting); err != nil {
					return nil, "", err
				}
			}
		}
	}
	added := seal.GenerateRootKey()
	next, err := seal.JoinRootKeys(e.keys, added)
	return next, fmt.Sprintf("Root key %s is in %s now, behind %s.\nCopy that file to every other node and restart the nodes one by one; then: quis root-key use.", added.ID(), e.file, e.keys.ID()), err
}

func useRootKey(e *keyEdit) (*seal.RootKey, string, error) {
	all := e.keys.Keys()
	if len(all) == 1 {
		return nil, "", exitError{Code: exitConflict, Text: fmt.Sprintf("%s holds root key %s alone: begin with quis root-key add", e.file, e.keys.ID())}
	}
	if err := e.asked(); err != nil {
		return nil, "", err
	}
	second := all[1].ID()
	if s := e.cluster; s != nil {
		here := slices.ContainsFunc(s.Items, func(i client.RootKeyItem) bool { return slices.Contains(i.Keys, all[0].ID()) })
		if s.InUse != all[0].ID() || !here || slices.Contains(s.Former, second) {
			if !e.force {
				return nil, fmt.Sprintf("Root key %s is first in %s already. If this node was not restarted since, restart it. (--force goes back to %s.)", all[0].ID(), e.file, second), nil
			}
		}
		for _, m := range s.Members {
			if !slices.Contains(m.Keys, second) {
				if err := e.refuse("node %s does not say that it knows root key %s: copy the file there and restart it", m.ID, second); err != nil {
					return nil, "", err
				}
			}
		}
	}
	next, err := seal.JoinRootKeys(append([]*seal.RootKey{all[1], all[0]}, all[2:]...)...)
	return next, fmt.Sprintf("Root key %s is first in %s now.\nRestart this node, and do the same on the others; then wait for quis root-key show to say that the former may go.", second, e.file), err
}

func dropRootKeys(e *keyEdit) (*seal.RootKey, string, error) {
	all := e.keys.Keys()
	if len(all) == 1 {
		return nil, fmt.Sprintf("%s holds root key %s alone.", e.file, e.keys.ID()), nil
	}
	if err := e.asked(); err != nil {
		return nil, "", err
	}
	if s := e.cluster; s != nil {
		if s.InUse != all[0].ID() {
			if err := e.refuse("root key %s is first in %s, but this node uses %s: restart it first", all[0].ID(), e.file, s.InUse); err != nil {
				return nil, "", err
			}
		}
		if !s.Droppable {
			if err := e.refuse("the others are still needed: %s", strings.TrimSuffix(s.Step, ".")); err != nil {
				return nil, "", err
			}
		}
	}
	return all[0], fmt.Sprintf("%s holds root key %s alone now. Restart this node, and do the same on the others.", e.file, all[0].ID()), nil
}
