package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/progress"
	"github.com/quis-idp/quis/keys/seal"
)

func backupCommand() *cobra.Command {
	var file, recipientsFile, rootKey string
	var recipients []string
	var now bool
	c := online(&cobra.Command{
		Use:   "backup",
		Short: "Write a sealed backup of the whole cluster to a file",
		Long: "Asks a running node for everything that was acknowledged so far, without holding anybody up, and reads\n" +
			"the file back. It is sealed under the root key, or to the age recipients that are named. Keep the root key\n" +
			"elsewhere: without it the data is worth nothing.\n" +
			"The file has its name only when it is whole; until then that ends in .partial.",
		Example: "  quis backup --file /mnt/backups/quis.backup --recipient age1…\n  quis backup -o - | ssh elsewhere 'cat > quis.backup'",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if now {
				return startRun(cmd)
			}
			// -o names the file here, as people expect; json and table keep their meaning.
			if o, _ := cmd.Flags().GetString("output"); o != "table" && o != "json" {
				file = o
				if err := cmd.Flags().Set("output", "table"); err != nil {
					return err
				}
			}
			if recipientsFile != "" {
				more, err := readRecipients(recipientsFile)
				if err != nil {
					return err
				}
				recipients = append(recipients, more...)
			}
			if _, err := backup.ParseRecipients(recipients); err != nil {
				return usage(cmd, "%s", err)
			}
			return writeBackup(cmd, file, recipients, rootKey)
		},
	})
	c.Flags().StringVar(&file, "file", "", "file to write, - for standard output (default: quis-TIME.backup)")
	c.Flags().StringSliceVar(&recipients, "recipient", nil, "age public key to seal to (default: the root key)")
	c.Flags().StringVar(&recipientsFile, "recipients-file", "", "file of age public keys, one a line")
	c.Flags().StringVar(&rootKey, "root-key-file", os.Getenv("QUIS_ROOT_KEY_FILE"), "also open the file with this root key when it is read back")
	c.Flags().BoolVar(&now, "now", false, "have the cluster make the backup of its schedule now")
	return c
}

func readRecipients(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s names no recipient", file)
	}
	return out, nil
}

func startRun(cmd *cobra.Command) error {
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	if err := c.StartBackupRun(cmd.Context()); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "The leader begins within 15 seconds; see the runs in the admin API or console.")
	return nil
}

func writeBackup(cmd *cobra.Command, file string, recipients []string, rootKey string) error {
	if _, err := asJSON(cmd); err != nil {
		return err
	}
	c, err := connect(cmd)
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
		return readBack(f, made, recipients, rootKey)
	})
	show.End()
	if err != nil {
		return fmt.Errorf("backup %s: %w", file, err)
	}
	return emit(cmd, made, nil, func(row func(...any)) {
		row("File", file)
		row("Size", progress.Size(made.Bytes))
		row("SHA-256", made.SHA256)
		row("Log", fmt.Sprintf("index %d, term %d", made.Index, made.Term))
		row("Root key", made.RootKey)
		row("Sealed", made.Sealed)
	})
}

// readBack compares what is on the disk with what the server sent and, with the root key, opens it.
func readBack(f *os.File, made *client.BackupInfo, recipients []string, rootKey string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(f, h), 1<<20)
	var err error
	if rootKey != "" && len(recipients) == 0 {
		var root *seal.RootKey
		if root, err = seal.LoadRootKey(rootKey, ""); err == nil {
			_, err = backup.Verify(r, backup.Keys{Root: root}, nil)
		}
	} else {
		_, err = backup.ReadHeader(r)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err == nil && hex.EncodeToString(h.Sum(nil)) != made.SHA256 {
		err = errors.New("what is on the disk is not what was sent: try another disk")
	}
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return nil
}

func restoreCommand() *cobra.Command {
	var check, sure, founding bool
	var identity string
	c := online(&cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of everything that a cluster has",
		Long: "Sends the file to a running node, which checks all of it before anything changes, and has every node take\n" +
			"it over. Everybody is signed out: no code, session or refresh token of before is accepted. Members, join tokens and the\n" +
			"backup schedule stay those of the cluster. Its root key must be the one that the backup was made with.\n" +
			"With --founding the file is left for a node that has not founded its cluster yet.",
		Example: "  quis restore quis-20260102T030405Z.backup --check\n  quis restore quis.backup --founding --data-dir /var/lib/quis",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if founding {
				return leaveBackup(cmd, args[0], identity)
			}
			return restoreBackup(cmd, args[0], identity, check, sure)
		},
	})
	c.Flags().BoolVar(&check, "check", false, "only check the file and whether it could be restored")
	sureFlag(c, &sure)
	c.Flags().BoolVar(&founding, "founding", false, "leave the file for a node that is not running and has no data yet")
	c.Flags().StringVar(&identity, "identity", "", "file with the age identity that opens the backup")
	return c
}

// opened returns the archive as the server can read it.
func opened(file, identity string) (io.ReadCloser, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if identity == "" {
		return f, info.Size(), nil
	}
	key, err := os.Open(identity)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	ids, err := age.ParseIdentities(io.LimitReader(key, 1<<20))
	if err = errors.Join(err, key.Close()); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w", identity, err), f.Close())
	}
	r, w := io.Pipe()
	go func() {
		err := backup.Reseal(w, bufio.NewReaderSize(f, 1<<20), backup.Keys{Identities: ids})
		w.CloseWithError(errors.Join(err, f.Close()))
	}()
	return r, info.Size(), nil
}

func restoreBackup(cmd *cobra.Command, file, identity string, check, sure bool) error {
	if _, err := asJSON(cmd); err != nil {
		return err
	}
	r, total, err := opened(file, identity)
	if err != nil {
		return err
	}
	defer r.Close()
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	if !check && !sure {
		s, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		if err := confirm(cmd, "restore", sure, fmt.Sprintf("Everything in cluster %s will be replaced by %s, and everybody signed out.", s.ClusterID, filepath.Base(file))); err != nil {
			return err
		}
	}
	show := progress.New(cmd.ErrOrStderr(), "restore", total)
	i, err := c.RestoreBackup(cmd.Context(), io.TeeReader(r, show), check)
	show.End()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return emit(cmd, i, nil, func(row func(...any)) {
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
		return usage(cmd, "--founding wants the --data-dir of the node")
	}
	if _, err := os.Stat(filepath.Join(dir, "node.json")); err == nil {
		return exitError{exitConflict, dir + " belongs to a node of a cluster: start it, then restore into it without --founding"}
	}
	r, _, err := opened(file, identity)
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
