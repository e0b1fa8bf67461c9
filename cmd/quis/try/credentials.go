package try

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/app"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// credentials are those of an application; a public one has no secret.
type credentials struct{ id, secret string }

// appFlags are those of a command that acts as an application.
func appFlags(c *cobra.Command) *cobra.Command {
	line.Online(issuerFlag(c))
	c.Flags().String("app", "", "client_id, name or ID of the application")
	c.Flags().String("secret-file", "", "file with its secret (default: $QUIS_CLIENT_SECRET)")
	return c
}

// actAs finds the application that the flags name, and its secret if it has one. The node is
// asked if there is one; otherwise --app is taken for a client_id.
func actAs(ctx context.Context, cmd *cobra.Command, name string) (*client.Client, *client.Application, *credentials, error) {
	if name == "" {
		return nil, nil, nil, line.Usage(cmd, "name the application by --app")
	}
	secret, err := secretOf(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	n, err := line.Connect(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := app.Find(ctx, n, name)
	if err != nil {
		return nil, nil, nil, err
	}
	public := a.IsPublic != nil && *a.IsPublic
	switch {
	case public && secret != "":
		fmt.Fprintln(cmd.ErrOrStderr(), "The application is public: the secret is not used.")
		secret = ""
	case !public && secret == "":
		return nil, nil, nil, line.Usage(cmd, "the application has a secret: give it by --secret-file or $QUIS_CLIENT_SECRET (`%s` makes another)", line.Next(cmd, "app secret rotate "+a.ClientID+" --keep-previous"))
	}
	return n, a, &credentials{a.ClientID, secret}, nil
}

func secretOf(cmd *cobra.Command) (string, error) {
	file := flag(cmd, "secret-file")
	if file == "" {
		return os.Getenv("QUIS_CLIENT_SECRET"), nil
	}
	return fromFile(file)
}

// fromFile reads a secret or a token from a file, or from standard input for "-".
func fromFile(file string) (string, error) {
	b, err := read(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if text == "" && file == "-" {
		return "", errors.New("there is nothing on standard input")
	}
	if text == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return text, nil
}
