package archive

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/progress"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/keys/seal"
)

// Backup is `quis backup`.
func Backup() *cobra.Command {
	var file, recipientsFile, rootKey string
	var recipients []string
	c := line.Online(&cobra.Command{
		Use:   "backup [FILE]",
		Short: "Write a sealed backup of the whole cluster to a file",
		Long: "Asks a running node for everything that was acknowledged so far, without holding anybody up, and reads\n" +
			"the file back. It is sealed under the root key, or to the age recipients that are named. Keep the root key\n" +
			"elsewhere: without it the data is worth nothing.\n" +
			"FILE is quis-TIME.backup by default, - is standard output. The file has its name only when it is whole; until\n" +
			"then that ends in .partial. A file that has the name already is replaced then.",
		Example: "  quis backup /mnt/backups/quis.backup --recipient age1…\n  quis backup - | ssh elsewhere 'cat > quis.backup'",
		Args:    backupArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				file = args[0]
			}
			if recipientsFile != "" {
				more, err := backup.ReadRecipients(recipientsFile)
				if err != nil {
					return err
				}
				recipients = append(recipients, more...)
			}
			if _, err := backup.ParseRecipients(recipients); err != nil {
				return line.Usage(cmd, "%s", err)
			}
			return writeBackup(cmd, file, recipients, rootKey)
		},
	})
	c.Flags().StringVar(&file, "file", "", "file to write")
	c.Flags().Lookup("file").Hidden = true // the argument, as it was called once
	c.Flags().StringSliceVar(&recipients, "recipient", nil, "age public key to seal to (default: the root key)")
	c.Flags().StringVar(&recipientsFile, "recipients-file", "", "file of age public keys, one a line")
	c.Flags().StringVar(&rootKey, "root-key-file", os.Getenv("QUIS_ROOT_KEY_FILE"), "also open the file with this root key when it is read back")
	c.AddCommand(scheduleCommand(), backupRunsCommand(), backupNowCommand())
	return c
}

// backupArgs takes the name of a file, but not a command that was misspelt, nor the file as -o.
func backupArgs(cmd *cobra.Command, args []string) error {
	if o, _ := cmd.Flags().GetString("output"); strings.ContainsAny(o, "./") || o == "-" {
		return line.Usage(cmd, "--output says how to print data; for the file say `quis backup %s`", o)
	}
	cmd.SuggestionsMinimumDistance = 2
	if len(args) == 1 && !strings.ContainsAny(args[0], "./") {
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			return line.Usage(cmd, "did you mean \"%s\"? A file of that name is ./%s", like[0], args[0])
		}
	}
	return line.AtMost("FILE")(cmd, args)
}

func writeBackup(cmd *cobra.Command, file string, recipients []string, rootKey string) error {
	if _, err := line.AsJSON(cmd); err != nil {
		return err
	}
	c, err := line.Connect(cmd)
	if err != nil {
		return err
	}
	if file == "" {
		file = "quis-" + time.Now().UTC().Format("20060102T150405Z") + ".backup"
	}
	show := progress.New(cmd.ErrOrStderr(), "backup", 0)
	var made *client.BackupInfo
	write := func(w io.Writer) (err error) {
		made, err = c.CreateBackup(cmd.Context(), io.MultiWriter(w, show), recipients, func(i client.BackupInfo) { show.Expect(i.Size) })
		return err
	}
	if file == "-" {
		err := write(cmd.OutOrStdout())
		show.End()
		if err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s  -\n", made.SHA256)
		}
		return err
	}
	err = backup.WriteFile(file, func(w io.Writer) error {
		f, ok := w.(*os.File)
		if err := write(w); err != nil || !ok {
			return err
		}
		var keys backup.Keys
		if rootKey != "" && len(recipients) == 0 {
			if keys.Root, err = seal.LoadRootKey(rootKey, ""); err != nil {
				return err
			}
		}
		return backup.ReadBack(f, made.SHA256, keys)
	})
	show.End()
	if err != nil {
		return fmt.Errorf("backup %s: %w", file, err)
	}
	return line.Emit(cmd, made, nil, func(row func(...any)) {
		row("File", file)
		row("Size", progress.Size(made.Bytes))
		row("SHA-256", made.SHA256)
		row("Log", fmt.Sprintf("index %d, term %d", made.Index, made.Term))
		row("Root key", made.RootKey)
		row("Sealed", sealedText(made.Sealed))
	})
}

func sealedText(how string) string {
	if how == backup.SealedAge {
		return "to the recipients"
	}
	return "under the root key"
}

// Restore is `quis restore`.
func Restore() *cobra.Command {
	var check, sure, founding bool
	var identity string
	c := line.Online(&cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of everything that a cluster has",
		Long: "Sends the file to a running node, which checks all of it before anything changes, and has every node take\n" +
			"it over. Everybody is signed out: no code, session or refresh token of before is accepted. Members, join tokens and the\n" +
			"backup schedule stay those of the cluster. Its root key must be the one that the backup was made with.\n" +
			"With --founding the file is left for a node that has not founded its cluster yet.",
		Example: "  quis restore quis-20260102T030405Z.backup --check\n  quis restore quis.backup --founding --data-dir /var/lib/quis",
		Args:    line.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if founding {
				return leaveBackup(cmd, args[0], identity)
			}
			return restoreBackup(cmd, args[0], identity, check, sure)
		},
	})
	c.Flags().BoolVar(&check, "check", false, "only check the file and whether it could be restored")
	line.SureFlag(c, &sure)
	c.Flags().BoolVar(&founding, "founding", false, "leave the file for a node that is not running and has no data yet")
	c.Flags().StringVar(&identity, "identity", "", "file with the age identity that opens the backup")
	return c
}

func restoreBackup(cmd *cobra.Command, file, identity string, check, sure bool) error {
	if _, err := line.AsJSON(cmd); err != nil {
		return err
	}
	r, total, err := backup.OpenFile(file, identity)
	if err != nil {
		return err
	}
	defer r.Close()
	c, err := line.Connect(cmd)
	if err != nil {
		return err
	}
	if !check && !sure {
		s, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		if err := line.Confirm(cmd, "restore", sure, fmt.Sprintf("Everything in cluster %s will be replaced by %s, and everybody signed out.", s.ClusterID, filepath.Base(file))); err != nil {
			return err
		}
	}
	show := progress.New(cmd.ErrOrStderr(), "restore", total)
	i, err := c.RestoreBackup(cmd.Context(), io.TeeReader(r, show), check)
	show.End()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return line.Emit(cmd, i, nil, func(row func(...any)) {
		row("Backup", i.ID)
		row("Of cluster", i.ClusterID)
		row("Made", i.Created.Local().Format(time.DateTime))
		row("Rows", i.Rows)
		row("Events", i.Events)
		if check {
			row("Restored", "no: it is whole and could be")
		} else {
			row("Restored", "yes; everybody was signed out")
		}
	})
}

// leaveBackup puts the archive where a node finds it when it founds its cluster.
func leaveBackup(cmd *cobra.Command, file, identity string) error {
	dir, _ := cmd.Flags().GetString("data-dir")
	if dir == "" {
		return line.Usage(cmd, "--founding wants the --data-dir of the node")
	}
	if _, err := os.Stat(filepath.Join(dir, "node.json")); err == nil {
		return line.Exit{Code: line.Conflict, Text: dir + " belongs to a node of a cluster: start it, then restore into it without --founding"}
	}
	r, _, err := backup.OpenFile(file, identity)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var i backup.Info
	err = backup.WriteFile(filepath.Join(dir, daemon.RestoreFile), func(w io.Writer) (err error) {
		in := io.TeeReader(r, w)
		if i, err = backup.ReadHeader(in); err == nil {
			_, err = io.Copy(io.Discard, in)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Start the node with root key %s: it founds a cluster and restores the backup of %s into it.\n", i.RootKey, i.Created.Local().Format(time.DateTime))
	return nil
}
