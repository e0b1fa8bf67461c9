package user

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis user`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "user",
		Short:   "People, and how they prove who they are",
		Example: "  quis user invite alice@example.com\n  quis user reset-factor alice --all",
	}
	line.Group(c)
	c.AddCommand(listCommand(), getCommand(), createCommand(), setCommand(), deleteCommand(), disableCommand(), enableCommand(), signOutCommand(), passwordCommand(),
		inviteCommand(), resendCommand(), invitationsCommand(), uninviteCommand(), importCommand(), exportCommand(), impersonateCommand(),
		sessionsCommand(), endSessionCommand(), factorsCommand(), resetFactorCommand(), devicesCommand(), revokeDeviceCommand(), tokenCommand(), recoverCommand())
	return c
}

// meant returns the rows that a person may mean by word: the one of that ID, or else all of that name.
func meant[T any](all []T, word string, called func(*T) (id, name string)) (found []*T) {
	for i := range all {
		switch id, name := called(&all[i]); {
		case id == word:
			return []*T{&all[i]}
		case strings.EqualFold(name, word):
			found = append(found, &all[i])
		}
	}
	return found
}

const whom = "the username, address or ID of a user"

// look asks the node of cmd for a user, before a person is asked, who may take their time.
func look(cmd *cobra.Command, word string) (*client.User, error) {
	return line.Ask(cmd, func(c *client.Client, ctx context.Context) (*client.User, error) { return Find(ctx, c, word) })
}

// Find returns the user that a person means: by ID, username or address.
func Find(ctx context.Context, c *client.Client, word string) (*client.User, error) {
	ways := []func(context.Context, string) (*client.User, error){c.Users.Find, c.Users.FindByEmail}
	if strings.HasPrefix(word, "usr_") {
		ways = append(ways, c.Users.Get)
	}
	for _, way := range ways {
		if u, err := way(ctx, word); client.Status(err) != http.StatusNotFound {
			return u, err
		}
	}
	return nil, line.Exit{Code: line.NotFound, Text: fmt.Sprintf("there is no user %q", line.Plain(word))}
}
