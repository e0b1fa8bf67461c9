package line

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxSecret is how many bytes of standard input are read for one.
const maxSecret = 2 << 10

// NewPassword reads a password that somebody is to have: the first line of standard input, or at a
// terminal what is typed twice and not shown.
func NewPassword(cmd *cobra.Command, whose string) (string, error) {
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return typedTwice(in, cmd.ErrOrStderr(), whose)
	}
	text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxSecret))
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if first = strings.TrimRight(first, "\r"); first == "" || len(text) == maxSecret {
		return "", errors.New("standard input must have the password in one line")
	}
	return first, nil
}

func typedTwice(in *os.File, out io.Writer, whose string) (string, error) {
	first, err := hidden(in, out, "New password for "+Plain(whose)+" (it is not shown): ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errors.New("nothing was changed: no password was typed")
	}
	again, err := hidden(in, out, "The same once more: ")
	if err == nil && again != first {
		err = errors.New("nothing was changed: these were two different passwords")
	}
	return first, err
}

// hidden reads a line from a terminal that does not show it, and has it show what is typed again
// also if it is interrupted.
func hidden(in *os.File, out io.Writer, prompt string) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	type typed struct {
		line []byte
		err  error
	}
	got := make(chan typed, 1)
	fmt.Fprint(out, prompt)
	go func() {
		line, err := term.ReadPassword(fd)
		got <- typed{line, err}
	}()
	defer fmt.Fprintln(out) // that of whoever typed was not shown
	select {
	case t := <-got:
		if errors.Is(t.err, io.EOF) {
			return "", errors.New("nothing was changed: no password was typed")
		}
		return string(t.line), t.err
	case <-stop:
		return "", errors.Join(Exit{Code: Failed, Text: "nothing was changed"}, term.Restore(fd, before))
	}
}
