package line

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
)

// SureFlag adds --yes to a command that does what cannot be undone.
func SureFlag(c *cobra.Command, sure *bool) {
	c.Flags().BoolVarP(sure, "yes", "y", false, "do not ask for confirmation")
}

// Confirm has a person at a terminal type word before something that cannot be undone.
// A script says --yes.
func Confirm(cmd *cobra.Command, word string, sure bool, warning string) error {
	if sure {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !daemon.IsTerminal(in) {
		return Usage(cmd, "%s There is no terminal to ask at; --yes confirms", warning)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s\nType %s to go on: ", warning, word)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		return Exit{Code: Failed, Text: "nothing was changed"}
	}
	if strings.TrimSpace(line) != word {
		return errors.New("nothing was changed: that was not " + word)
	}
	return nil
}
