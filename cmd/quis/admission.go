package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/keys/seal"
)

func tokenCommand() *cobra.Command {
	var ttl time.Duration
	var withoutRootKey bool
	create := func(use string) *cobra.Command {
		c := online(&cobra.Command{
			Use:   use,
			Short: "Make a token by which one new node joins",
			Long: "Makes a token by which one new node joins: it works once, and carries what the node needs to\n" +
				"know this cluster by. The node is given the root key as well, so hand the token over as you would that.",
			Example: "  quis cluster token\n  quis cluster token --ttl 10m --without-root-key",
			Args:    none,
			PreRunE: func(cmd *cobra.Command, _ []string) error {
				if ttl < time.Second || ttl > form.MaxTokenLife {
					return usage(cmd, "--ttl is %s; a token may be used for 1s to 24h", ttl)
				}
				return nil
			},
			RunE: answer(func(c *client.Client, ctx context.Context) (*client.JoinToken, error) {
				return c.CreateJoinToken(ctx, ttl, withoutRootKey)
			}, printNewToken),
		})
		c.Flags().DurationVar(&ttl, "ttl", form.DefaultTokenLife, "how long it may be used; at most 24h")
		c.Flags().BoolVar(&withoutRootKey, "without-root-key", false, "the new node must bring the root key file itself")
		return c
	}
	c := create("token")
	c.AddCommand(create("create"), online(&cobra.Command{
		Use:     "list",
		Short:   "List the tokens; those that ended are shown for a day",
		Example: "  quis cluster token list\n  quis cluster token list -o json",
		Args:    none,
		RunE:    answer((*client.Client).JoinTokens, printTokens),
	}), revokeTokenCommand())
	return c
}

func printNewToken(cmd *cobra.Command, t *client.JoinToken) error {
	if err := emit(cmd, t, nil, func(row func(...any)) { row(t.Token) }); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "It works once, until %s. On the new host:\n  quis join ADDRESS-OF-A-NODE --token TOKEN --public-url URL --advertise HOST\n", t.ExpiresAt.Local().Format("15:04"))
	return nil
}

func printTokens(cmd *cobra.Command, tokens []client.JoinToken) error {
	return emit(cmd, tokens, []string{"TOKEN", "STATE", "BY", "ROOT KEY", "EXPIRES", "USED BY"}, func(row func(...any)) {
		for _, t := range tokens {
			row(t.ID, t.State, t.CreatedBy, yes(t.RootKey), t.ExpiresAt.Local().Format(time.DateTime), t.UsedBy)
		}
	})
}

func revokeTokenCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "revoke ID",
		Short:   "Make a token worthless that was not used",
		Example: "  quis cluster token revoke 3u7k2n5pqw4aeb6x\n  quis cluster token revoke 3u7k2n5pqw4aeb6x --data-dir /var/lib/quis",
		Args:    exactly("the ID of a token (quis cluster token list)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := asking(cmd)
			defer cancel()
			if err := c.RevokeJoinToken(ctx, args[0]); client.Status(err) == http.StatusNotFound {
				return fmt.Errorf("no join token has the ID %q (`quis cluster token list` shows them): %w", args[0], err)
			} else if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Token %s is worthless now.\n", args[0])
			return nil
		},
	})
}

func authorityCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "ca",
		Short:   "The authority that certifies the nodes",
		Example: "  quis cluster ca show\n  quis cluster ca rotate --wait",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "show",
		Short:   "Show the authority, and how far its rotation is",
		Example: "  quis cluster ca show\n  quis cluster ca show -o json",
		Args:    none,
		RunE:    answer((*client.Client).Authority, printAuthority),
	}), rotateAuthorityCommand())
	return c
}

func rotateAuthorityCommand() *cobra.Command {
	var wait bool
	c := online(&cobra.Command{
		Use:   "rotate",
		Short: "Replace the authority, with overlap and without a restart",
		Long: "Replaces the authority in steps: every node is told of the next one, then gets a certificate from it,\n" +
			"then the former is trusted no more. A node that is down holds this up until it is back or removed.",
		Example: "  quis cluster ca rotate\n  quis cluster ca rotate --wait -o json",
		Args:    none,
		RunE: answer(func(c *client.Client, ctx context.Context) (*client.Authority, error) {
			a, err := c.RotateAuthority(ctx)
			for wait && err == nil && a.Phase != string(form.Stable) {
				select {
				case <-time.After(200 * time.Millisecond):
					a, err = c.Authority(ctx)
				case <-ctx.Done():
					return a, nil // what it waits for is shown
				}
			}
			return a, err
		}, printAuthority),
	})
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is done, for at most a minute")
	return c
}

func printAuthority(cmd *cobra.Command, a *client.Authority) error {
	return emit(cmd, a, nil, func(row func(...any)) {
		row("Cluster", a.ClusterID)
		row("Authority", a.Fingerprint)
		row("Expires", a.ExpiresAt.Local().Format(time.DateOnly))
		row("Rotation", phaseText(a))
		for _, m := range a.Members {
			text := "certificate from " + m.CA
			if m.Waiting != "" {
				text = m.Waiting
			}
			row("Node "+m.ID, text)
		}
	})
}

func phaseText(a *client.Authority) string {
	switch form.Phase(a.Phase) {
	case form.Distribute:
		return "under way: the nodes are told of " + a.Next
	case form.Switch:
		return "under way: the nodes get certificates in the place of those from " + a.Former
	}
	return "none under way"
}

// joinAddress reads the address that somebody gives of a node: host, host:port or a URL.
func joinAddress(cmd *cobra.Command, text string) (string, error) {
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
			return "", usage(cmd, "%q is not an address such as node-1.example.com:8300 or https://node-1.example.com", text)
		}
		text = u.Host
	}
	if form.CheckPeer(text) != nil {
		return "", usage(cmd, "%q is not an address such as node-1.example.com:8300", text)
	}
	if _, _, err := net.SplitHostPort(text); err == nil || strings.HasPrefix(text, "_") || strings.HasPrefix(text, "srv:") {
		return text, nil
	}
	return net.JoinHostPort(strings.Trim(text, "[]"), form.DefaultPort), nil
}

// A ticket is the join token that `quis join` was given, if it was.
type ticket struct{ text, file string }

func (t *ticket) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.text, "token", "", "join token of the cluster (quis cluster token); - reads it from standard input\n(default: $QUIS_JOIN_TOKEN)")
	c.Flags().StringVar(&t.file, "token-file", "", "file with the join token (default: $QUIS_JOIN_TOKEN_FILE)")
}

// read finds the token and checks it. None is no mistake: the root key does as well.
func (t *ticket) read(cmd *cobra.Command) (*form.Token, error) {
	if t.text != "" && t.file != "" {
		return nil, usage(cmd, "--token and --token-file are two tokens; give one")
	}
	if t.text == "" && t.file == "" {
		t.text, t.file = os.Getenv("QUIS_JOIN_TOKEN"), os.Getenv("QUIS_JOIN_TOKEN_FILE")
	}
	text := t.text
	switch {
	case text == "-":
		b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 8<<10))
		if err != nil {
			return nil, err
		}
		text = string(b)
	case text == "" && t.file == "":
		return nil, nil
	case text == "":
		b, err := os.ReadFile(t.file)
		if err != nil {
			return nil, fmt.Errorf("token file: %w", err)
		}
		text = string(b)
	}
	token, err := form.ParseToken(text)
	if err != nil {
		return nil, err
	}
	return &token, nil
}

// keep makes the token a file that the server reads, beside its configuration.
func (t *ticket) keep(token *form.Token, config *daemon.Config, beside string) (err error) {
	if t.file == "" {
		t.file = filepath.Join(filepath.Dir(beside), "join.token")
		if err := os.MkdirAll(filepath.Dir(t.file), 0o755); err != nil {
			return fmt.Errorf("join token: %w", err)
		}
		if err := os.Remove(t.file); err != nil && !errors.Is(err, os.ErrNotExist) { // of an earlier try, with whatever mode
			return fmt.Errorf("join token: %w", err)
		}
		if err := os.WriteFile(t.file, []byte(token.Text()+"\n"), 0o600); err != nil {
			return fmt.Errorf("join token: %w", err)
		}
	}
	config.Cluster.JoinTokenFile, err = filepath.Abs(t.file)
	return err
}

// rootKeyFor checks that the joining node has the root key, or gets it by its token.
func rootKeyFor(cmd *cobra.Command, p *plan, token *form.Token) error {
	if p.keyFile == "" && token != nil && token.RootKey {
		p.keyFile = filepath.Join(filepath.Dir(p.file), "root.key")
	}
	if p.keyFile == "" {
		return usage(cmd, "--root-key-file is missing, or a --token that brings the root key")
	}
	_, err := seal.LoadRootKey(p.keyFile, "")
	if errors.Is(err, os.ErrNotExist) && token != nil && token.RootKey {
		return nil
	}
	return err
}
