package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/daemon"
)

// errNoNode: no running node was found to ask.
var errNoNode = errors.New("no running node found")

const (
	devDir     = ".quis-dev"
	socketName = "quis.sock"
)

// online adds the flags of a command that asks a running node.
func online(c *cobra.Command) *cobra.Command {
	c.Flags().String("data-dir", "", "data directory of a node on this machine, or of a quis dev\n(default: $QUIS_DATA_DIR, ./"+devDir+", /var/lib/quis)")
	c.Flags().String("addr", "", "address of a node elsewhere, with a token in $QUIS_TOKEN or $QUIS_TOKEN_FILE\n(default: $QUIS_ADDR)")
	return c
}

// connect returns a client of the node that the flags and the environment name.
func connect(cmd *cobra.Command) (*client.Client, error) {
	addr, _ := cmd.Flags().GetString("addr")
	dir, _ := cmd.Flags().GetString("data-dir")
	if addr != "" && dir != "" {
		return nil, usage(cmd, "--addr and --data-dir name two different nodes; give one")
	}
	if addr == "" && dir == "" {
		addr = os.Getenv("QUIS_ADDR")
	}
	if addr != "" {
		token, err := token()
		if err != nil {
			return nil, err
		}
		return client.New(addr, token)
	}
	return connectDir(cmd.Context(), dir)
}

// connectDir returns a client of the first node that answers on its local socket.
func connectDir(ctx context.Context, dir string) (*client.Client, error) {
	dirs := []string{dir}
	if dir == "" {
		dirs = []string{devDir, daemon.Default().DataDir}
		if d := os.Getenv("QUIS_DATA_DIR"); d != "" {
			dirs = []string{d}
		}
	}
	var denied error
	for _, d := range dirs {
		sockets, _ := filepath.Glob(filepath.Join(d, "node-[1-9]", socketName)) // the pattern is a constant
		for _, socket := range append([]string{filepath.Join(d, socketName)}, sockets...) {
			// The short path must stay valid while the process lives: it is not given back.
			short, _, err := daemon.ShortSocketPath(socket)
			if err != nil {
				continue
			}
			if err := knock(ctx, short); err == nil {
				if short, err = filepath.Abs(short); err != nil {
					return nil, err
				}
				return client.New("unix://"+short, "")
			} else if errors.Is(err, os.ErrPermission) {
				denied = fmt.Errorf("%s belongs to another user: run this as the user of the node: %w", socket, os.ErrPermission)
			}
		}
	}
	if denied != nil {
		return nil, denied
	}
	if dir != "" {
		return nil, fmt.Errorf("%w in %s: start it, or name the --data-dir of one that runs", errNoNode, dir)
	}
	return nil, fmt.Errorf("%w in %s: start one, name its --data-dir, or set QUIS_ADDR and QUIS_TOKEN", errNoNode, strings.Join(dirs, " or "))
}

func knock(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return c.Close()
}

func token() (string, error) {
	if t := os.Getenv("QUIS_TOKEN"); t != "" {
		return t, nil
	}
	file := os.Getenv("QUIS_TOKEN_FILE")
	if file == "" {
		return "", errors.New("no token: set QUIS_TOKEN or QUIS_TOKEN_FILE to an access token of an administrator")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("QUIS_TOKEN_FILE: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// asking gives a command's questions to the node an end.
func asking(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), time.Minute)
}
