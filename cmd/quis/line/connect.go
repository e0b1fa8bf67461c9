package line

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

// ErrNoNode: no running node was found to ask.
var ErrNoNode = errors.New("no running node found")

// Where nodes are found.
const (
	DevDir     = ".quis-dev"
	SocketName = "quis.sock"
)

// Online adds the flags of a command that asks a running node.
func Online(c *cobra.Command) *cobra.Command {
	c.Flags().String("data-dir", "", "data directory of a node on this machine, or of a quis dev\n(default: $QUIS_DATA_DIR, ./"+DevDir+", /var/lib/quis)")
	c.Flags().String("addr", "", "URL of a node elsewhere, with a token in $QUIS_TOKEN or $QUIS_TOKEN_FILE\n(default: $QUIS_ADDR)")
	return c
}

// Connect returns a client of the node that the flags and the environment name.
func Connect(cmd *cobra.Command) (*client.Client, error) {
	addr, _ := cmd.Flags().GetString("addr")
	dir, _ := cmd.Flags().GetString("data-dir")
	if addr != "" && dir != "" {
		return nil, Usage(cmd, "--addr and --data-dir name two different nodes; give one")
	}
	if addr == "" && dir == "" {
		addr = os.Getenv("QUIS_ADDR")
	}
	if addr != "" {
		token, err := token()
		if err != nil {
			return nil, err
		}
		c, err := client.New(addr, token)
		if err != nil {
			return nil, fmt.Errorf("--addr or QUIS_ADDR: %w; a node is named as https://id.example.com", err)
		}
		return c, nil
	}
	return ConnectDir(cmd.Context(), dir)
}

// ConnectDir returns a client of the first node that answers on its local socket.
func ConnectDir(ctx context.Context, dir string) (*client.Client, error) {
	dirs := []string{dir}
	if dir == "" {
		dirs = []string{DevDir, daemon.Default().DataDir}
		if d := os.Getenv("QUIS_DATA_DIR"); d != "" {
			dirs = []string{d}
		}
	}
	var denied error
	for _, d := range dirs {
		sockets, _ := filepath.Glob(filepath.Join(d, "node-[1-9]", SocketName)) // the pattern is a constant
		for _, socket := range append([]string{filepath.Join(d, SocketName)}, sockets...) {
			// The short path must stay valid while the process lives: it is not given back.
			short, _, err := daemon.ShortSocketPath(socket)
			if err != nil {
				continue
			}
			if err := Knock(ctx, short); err == nil {
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
		return nil, fmt.Errorf("%w in %s: start it, or name the --data-dir of one that runs", ErrNoNode, dir)
	}
	return nil, fmt.Errorf("%w in %s: start one, name its --data-dir, or set QUIS_ADDR and QUIS_TOKEN", ErrNoNode, strings.Join(dirs, " or "))
}

// Knock reports whether somebody listens at a socket.
func Knock(ctx context.Context, socket string) error {
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

// Asking gives a command's questions to the node an end.
func Asking(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), time.Minute)
}
