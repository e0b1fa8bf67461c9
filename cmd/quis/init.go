package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/keys/seal"
)

// A plan is what `quis init` and `quis join` write.
type plan struct {
	file, publicURL, dataDir, nodeID, keyFile, host string
}

func (p *plan) flags(c *cobra.Command) {
	c.Flags().StringVarP(&p.file, "config", "c", "quis.yaml", "configuration file to write; never overwritten")
	c.Flags().StringVar(&p.publicURL, "public-url", "", "origin that browsers use, such as https://id.example.com; the same on every node")
	c.Flags().StringVar(&p.dataDir, "data-dir", "", "directory for the node's data (default: /var/lib/quis)")
	c.Flags().StringVar(&p.nodeID, "node-id", "", "name of this node (default: the host name)")
	c.Flags().StringVar(&p.host, "advertise", "", "name or address under which other nodes reach this host (default: none do)")
}

// check finds an --advertise that would make an address of nonsense: its ports are
// cluster.advertise's and cluster.gossip_advertise's own.
func (p *plan) check(cmd *cobra.Command) error {
	if _, port, err := net.SplitHostPort(p.host); err == nil {
		return usage(cmd, "--advertise is a name or an address without a port; for port %s change cluster.advertise in the file written", port)
	}
	return nil
}

// config turns the plan into a configuration.
func (p *plan) config() daemon.Config {
	c := daemon.Default()
	c.PublicURL = p.publicURL
	if p.dataDir != "" {
		c.DataDir = p.dataDir
	}
	if p.nodeID != "" {
		c.NodeID = p.nodeID
	}
	c.NodeID = strings.ToLower(c.NodeID)
	c.RootKeyFile = p.keyFile
	if p.host != "" {
		c.Cluster.Advertise = net.JoinHostPort(p.host, "8300")
		c.Cluster.GossipAdvertise = net.JoinHostPort(p.host, "8301")
	} else {
		c.Cluster.Listen, c.Cluster.Gossip = "127.0.0.1:8300", "127.0.0.1:8301"
	}
	return c
}

// absolute is config with paths that hold wherever the server is started.
func (p *plan) absolute() (c daemon.Config, err error) {
	if p.keyFile, err = filepath.Abs(p.keyFile); err != nil {
		return c, err
	}
	c = p.config()
	c.DataDir, err = filepath.Abs(c.DataDir)
	return c, err
}

// write writes the configuration file, never over one that is there.
func (p *plan) write(c daemon.Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.file), 0o755); err != nil {
		return fmt.Errorf("directory of the configuration: %w", err)
	}
	f, err := os.OpenFile(p.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return exitError{Code: exitConflict, Text: p.file + " is there already and is left as it is: remove it, or write another with --config"}
	} else if err != nil {
		return err
	}
	fmt.Fprintln(f, "# Configuration of one quis node. What is commented out has its default value.")
	fmt.Fprintln(f, "# A flag beats the environment (QUIS_CLUSTER_LISTEN for cluster.listen) beats this file.")
	daemon.WriteYAML(f, &c, true)
	return f.Close()
}

func initCommand() *cobra.Command {
	var p plan
	c := &cobra.Command{
		Use:     "init",
		Short:   "Write the configuration and the root key of a first node",
		Long:    "Writes a commented configuration file and a new root key, from flags or a few questions.\nNeither is ever overwritten.",
		Example: "  quis init\n  quis init --public-url https://id.example.com --advertise 10.0.0.1 --config /etc/quis/quis.yaml",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.ask(cmd); err != nil {
				return err
			}
			if err := p.check(cmd); err != nil {
				return err
			}
			if p.keyFile == "" {
				p.keyFile = filepath.Join(filepath.Dir(p.file), "root.key")
			}
			config, err := p.absolute()
			if err != nil {
				return err
			}
			if err := p.write(config); err != nil {
				return err
			}
			out := cmd.ErrOrStderr()
			fmt.Fprintf(out, "Wrote %s.\n", p.file)
			switch err := seal.SaveRootKey(p.keyFile, seal.GenerateRootKey()); {
			case err == nil:
				fmt.Fprintf(out, "Wrote %s: keep a copy in a safe place. Without it the data cannot be read.\n", p.keyFile)
			case errors.Is(err, os.ErrExist):
				fmt.Fprintf(out, "Kept %s, which was there already.\n", p.keyFile)
			default:
				return errors.Join(fmt.Errorf("root key: %w", err), os.Remove(p.file))
			}
			fmt.Fprintf(out, "\nNext:  %s server --config %s\n       %s setup-link --data-dir %s      (creates the first administrator)\n", line.Program(), p.file, line.Program(), config.DataDir)
			if p.host != "" {
				fmt.Fprintf(out, "On another host, with the token that `quis cluster token create` makes here:\n       quis join %s --token TOKEN --public-url %s --advertise HOST\n",
					config.Cluster.Advertise, config.PublicURL)
			}
			return nil
		},
	}
	p.flags(c)
	c.Flags().StringVar(&p.keyFile, "root-key-file", "", "where the root key is or shall be (default: root.key beside the configuration)")
	return c
}

// ask asks for what was not said, if somebody sits there.
func (p *plan) ask(cmd *cobra.Command) error {
	if p.publicURL != "" {
		return nil
	}
	if !daemon.IsTerminal(os.Stdin) {
		return usage(cmd, "--public-url is missing, and there is nobody to ask")
	}
	in := bufio.NewReader(cmd.InOrStdin())
	for _, q := range []struct {
		text, standard string
		into           *string
	}{
		{"Public URL (what browsers will use)", "http://localhost:8080", &p.publicURL},
		{"Data directory", daemon.Default().DataDir, &p.dataDir},
		{"Address of this host for other nodes (empty: it stays alone)", "", &p.host},
	} {
		if *q.into != "" {
			continue
		}
		prompt := q.text
		if q.standard != "" {
			prompt += " [" + q.standard + "]"
		}
		fmt.Fprint(cmd.ErrOrStderr(), prompt+": ")
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if *q.into = strings.TrimSpace(line); *q.into == "" {
			*q.into = q.standard
		}
	}
	return nil
}

func joinCommand() *cobra.Command {
	var p plan
	var t ticket
	var start bool
	c := &cobra.Command{
		Use:   "join ADDRESS",
		Short: "Write the configuration of a node that joins a cluster",
		Long: "Writes the configuration of a node that joins the cluster of the node at ADDRESS\n" +
			"(port 8300 unless said), by a token of that cluster or by its root key, copied here.\n" +
			"A token is kept in join.token beside the configuration; once the node has joined it is worthless.",
		Example: "  quis join node-1.example.com --token quis-join-… --public-url https://id.example.com --advertise node-2.example.com\n" +
			"  quis join node-1.example.com --root-key-file root.key --public-url https://id.example.com --advertise node-2.example.com --start",
		Args: exactly("the address of a node of the cluster"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for flag, value := range map[string]string{"public-url": p.publicURL, "advertise": p.host} {
				if value == "" {
					return usage(cmd, "--%s is missing", flag)
				}
			}
			token, err := t.read(cmd)
			if err != nil {
				return err
			}
			if err := p.check(cmd); err != nil {
				return err
			}
			address, err := joinAddress(cmd, args[0])
			if err != nil {
				return err
			}
			if err := rootKeyFor(cmd, &p, token); err != nil {
				return err
			}
			config, err := p.absolute()
			if err != nil {
				return err
			}
			config.Cluster.BootstrapExpect = 0
			config.Cluster.Join = []string{address}
			if token != nil {
				if err := t.keep(token, &config, p.file); err != nil {
					return err
				}
			}
			if err := p.write(config); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s.\n", p.file)
			if !start {
				fmt.Fprintf(cmd.ErrOrStderr(), "\nNext:  %s server --config %s\n       %s status --data-dir %s\n", line.Program(), p.file, line.Program(), config.DataDir)
				return nil
			}
			return daemon.Run(cmd.Context(), config)
		},
	}
	p.flags(c)
	t.flags(c)
	c.Flags().StringVar(&p.keyFile, "root-key-file", "", "file with the root key of the cluster, or where the one goes that a token brings\n(then by default root.key beside the configuration)")
	c.Flags().BoolVar(&start, "start", false, "start the node at once")
	return c
}
