// Package breach is the commands that make and verify the set of breached passwords in which
// a node looks new passwords up (breach_file).
//
// What the set is, and how it is asked, is in identity/credential/breach. No node is needed.
package breach

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/progress"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/identity/credential/breach"
)

// Command is `quis breach`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "breach",
		Short: "The set of breached passwords that new ones are looked up in",
		Long: "Makes the file that the setting breach_file names, from the list of Have I Been Pwned (one SHA-1, a colon and a\n" +
			"number a line, in order of the SHA-1). Copy it to every node and restart them one by one.",
		Example: "  quis breach build pwned-passwords.txt breached.set\n  quis breach verify breached.set",
	}
	line.Group(c)
	c.AddCommand(buildCommand(), verifyCommand())
	return c
}

func buildCommand() *cobra.Command {
	var least uint32
	c := &cobra.Command{
		Use:   "build LIST FILE",
		Short: "Make a set of a list of breached passwords",
		Long: "Reads LIST (- is standard input) once and writes FILE, about 2.3 bytes for each password. The file has its name\n" +
			"only when it is whole; until then that ends in .partial. A file that has the name already is replaced then.",
		Example: "  quis breach build pwned-passwords.txt breached.set\n  zstdcat pwned.txt.zst | quis breach build - breached.set --min-count 3",
		Args:    line.Exactly("LIST", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := build(cmd, args[0], args[1], least)
			if err != nil {
				return err
			}
			return show(cmd, info)
		},
	}
	c.Flags().Uint32Var(&least, "min-count", 1, "leave out passwords that were leaked less often")
	return c
}

func build(cmd *cobra.Command, list, file string, least uint32) (info breach.Info, err error) {
	var in io.Reader = cmd.InOrStdin()
	size := int64(0)
	if list != "-" {
		f, err := os.Open(list)
		if err != nil {
			return info, err
		}
		defer f.Close()
		if stat, err := f.Stat(); err == nil {
			size = stat.Size()
		}
		in = f
	}
	partial := file + ".partial"
	out, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return info, err
	}
	defer os.Remove(partial) // nothing is left of what is not whole
	defer out.Close()
	meter := progress.New(cmd.ErrOrStderr(), "reading", size)
	info, err = breach.Build(cmd.Context(), out, in, breach.Recipe{MinCount: least, Progress: meter, Now: time.Now()})
	meter.End()
	if err != nil {
		return info, fmt.Errorf("%s: %w", list, err)
	}
	return info, errors.Join(out.Sync(), out.Close(), os.Rename(partial, file))
}

func verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify FILE",
		Short:   "Read a whole set and compare its checksum",
		Example: "  quis breach verify breached.set\n  quis breach verify breached.set -o json",
		Args:    line.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := breach.Open(args[0])
			if err != nil {
				return err
			}
			defer set.Close()
			stat, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			meter := progress.New(cmd.ErrOrStderr(), "reading", stat.Size())
			err = set.Verify(cmd.Context(), stat.Size(), meter)
			meter.End()
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return show(cmd, set.Info())
		},
	}
}

func show(cmd *cobra.Command, info breach.Info) error {
	return line.Emit(cmd, info, []string{"PASSWORDS", "LEAKED AT LEAST", "MADE", "SHA256"}, func(row func(...any)) {
		row(info.Passwords, info.MinCount, info.Made.Format(time.RFC3339), info.Checksum)
	})
}
