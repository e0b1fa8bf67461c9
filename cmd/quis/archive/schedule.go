package archive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/progress"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func scheduleCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "schedule",
		Short:   "When the cluster backs itself up, and where to",
		Example: "  quis backup schedule show\n  quis backup schedule set --every 24h --keep 14 --target file:///mnt/backups",
	}
	line.Group(c)
	c.AddCommand(line.Online(&cobra.Command{
		Use:     "show",
		Short:   "Show the schedule",
		Example: "  quis backup schedule show\n  quis backup schedule show -o json",
		Args:    line.None,
		RunE:    line.Answer((*client.Client).BackupSchedule, printSchedule),
	}), setScheduleCommand(), line.Online(&cobra.Command{
		Use:     "off",
		Short:   "Make no more backups by schedule; what was made stays",
		Example: "  quis backup schedule off\n  quis backup schedule off -o json",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) (*client.BackupSchedule, error) {
			return c.SetBackupSchedule(ctx, client.BackupSchedule{})
		}, printSchedule),
	}))
	return c
}

func setScheduleCommand() *cobra.Command {
	var s client.BackupSchedule
	var every time.Duration
	var secretFile string
	c := line.Online(&cobra.Command{
		Use:   "set",
		Short: "Change what flags name of the schedule; the rest stays",
		Long: "The target is a directory that every node has (file:///directory), best on one file server, or a place in an\n" +
			"S3-compatible store (s3://bucket/prefix). The store's secret key is read from --secret-key-file or from\n" +
			"$QUIS_BACKUP_SECRET_KEY, and is kept sealed. Each backup is read back before older ones are deleted.",
		Example: "  quis backup schedule set --every 24h --keep 14 --target file:///mnt/backups\n" +
			"  quis backup schedule set --target s3://vault/quis --endpoint https://s3.example --access-key AKID --secret-key-file key",
		Args: line.None,
		RunE: func(cmd *cobra.Command, args []string) error {
			if every%time.Minute != 0 {
				return line.Usage(cmd, "--every wants whole minutes")
			}
			secret, err := secretKey(secretFile)
			if err != nil {
				return err
			}
			given := cmd.Flags().Changed
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.BackupSchedule, error) {
				now, err := c.BackupSchedule(ctx)
				if err != nil {
					return nil, err
				}
				now.SecretKey = secret
				for flag, take := range map[string]func(){
					"every": func() { now.EveryMinutes = int(every / time.Minute) }, "keep": func() { now.KeepLast = s.KeepLast },
					"keep-days": func() { now.KeepDays = s.KeepDays }, "target": func() { now.Target = s.Target },
					"endpoint": func() { now.Endpoint = s.Endpoint }, "region": func() { now.Region = s.Region },
					"access-key": func() { now.AccessKey = s.AccessKey }, "recipient": func() { now.Recipients = s.Recipients },
				} {
					if given(flag) {
						take()
					}
				}
				if now.EveryMinutes == 0 || now.Target == "" {
					return nil, line.Usage(cmd, "there is no schedule yet: say --every and --target")
				}
				return c.SetBackupSchedule(ctx, *now)
			}, printSchedule)(cmd, args)
		},
	})
	c.Flags().DurationVar(&every, "every", 0, "time between two backups: 1m to 744h")
	c.Flags().IntVar(&s.KeepLast, "keep", 0, "how many archives stay at the target (0: all)")
	c.Flags().IntVar(&s.KeepDays, "keep-days", 0, "archives younger than this stay in any case")
	c.Flags().StringVar(&s.Target, "target", "", "file:///directory or s3://bucket/prefix")
	c.Flags().StringVar(&s.Endpoint, "endpoint", "", "of the S3 store: https://host or http://host:port")
	c.Flags().StringVar(&s.Region, "region", "", "of the S3 store (default us-east-1)")
	c.Flags().StringVar(&s.AccessKey, "access-key", "", "of the S3 store")
	c.Flags().StringVar(&secretFile, "secret-key-file", "", "file with the secret key of the S3 store (default: $QUIS_BACKUP_SECRET_KEY)")
	c.Flags().StringSliceVar(&s.Recipients, "recipient", nil, "age public key to seal to (default: the root key)")
	return c
}

func secretKey(file string) (string, error) {
	if file == "" {
		return os.Getenv("QUIS_BACKUP_SECRET_KEY"), nil
	}
	b, err := os.ReadFile(file)
	if err == nil && strings.TrimSpace(string(b)) == "" {
		err = fmt.Errorf("%s is empty", file)
	}
	return strings.TrimSpace(string(b)), err
}

func printSchedule(cmd *cobra.Command, s *client.BackupSchedule) error {
	return line.Emit(cmd, s, nil, func(row func(...any)) {
		if s.EveryMinutes == 0 {
			row("Every", "never: there is no schedule")
			return
		}
		row("Every", time.Duration(s.EveryMinutes)*time.Minute)
		row("Target", s.Target)
		keep := "all"
		switch {
		case s.KeepLast > 0 && s.KeepDays > 0:
			keep = fmt.Sprintf("the last %d, and what is younger than %d days", s.KeepLast, s.KeepDays)
		case s.KeepLast > 0:
			keep = fmt.Sprintf("the last %d", s.KeepLast)
		case s.KeepDays > 0:
			keep = fmt.Sprintf("what is younger than %d days", s.KeepDays)
		}
		row("Keep", keep)
		sealed := "under the root key"
		if len(s.Recipients) > 0 {
			sealed = "to " + strings.Join(s.Recipients, ", ")
		}
		row("Sealed", sealed)
		if s.Endpoint != "" {
			row("Endpoint", s.Endpoint)
			row("Region", s.Region)
			row("Access key", s.AccessKey)
			row("Secret key", line.Yes(s.HasSecret))
		}
	})
}

func backupRunsCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use: "runs", SuggestFor: []string{"list", "ls", "show", "get"},
		Short:   "List the backups that the schedule made, newest first",
		Example: "  quis backup runs\n  quis backup runs -o json | jq '.[0].verified'",
		Args:    line.None,
		RunE: line.Answer((*client.Client).BackupRuns, func(cmd *cobra.Command, runs []client.BackupRun) error {
			return line.Emit(cmd, runs, []string{"STARTED", "NODE", "RESULT", "SIZE", "NAME"}, func(row func(...any)) {
				for _, r := range runs {
					row(r.StartedAt.Local().Format(time.DateTime), r.Node, outcome(&r), progress.Size(r.Bytes), r.Name)
				}
			})
		}),
	})
}

func outcome(r *client.BackupRun) string {
	switch {
	case r.Error != "":
		return r.Error
	case r.Verified:
		return "verified"
	}
	return "under way"
}

func backupNowCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use: "now", SuggestFor: []string{"create", "make", "run"},
		Short:   "Have the cluster make the backup of its schedule now, and wait for it",
		Example: "  quis backup now\n  quis backup now -o json | jq -r .name",
		Args:    line.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := line.AsJSON(cmd); err != nil {
				return err
			}
			c, err := line.Connect(cmd)
			if err != nil {
				return err
			}
			r, err := runBackup(cmd.Context(), c)
			if err != nil {
				return err
			}
			err = line.Emit(cmd, r, nil, func(row func(...any)) {
				row("Result", outcome(r))
				row("Target", r.Target)
				row("Name", r.Name)
				row("Size", progress.Size(r.Bytes))
				row("SHA-256", r.SHA256)
				row("Deleted", fmt.Sprintf("%d older archives", r.Deleted))
			})
			if err == nil && r.Error != "" {
				err = line.Exit{Code: line.Failed, Text: "the backup failed: " + r.Error}
			}
			return err
		},
	})
}

// beginWithin is much longer than the leader takes to see that a backup is wanted.
const beginWithin = time.Minute

// runBackup asks for a run and waits for its end. One that a schedule began at the same
// moment is as good.
func runBackup(ctx context.Context, c *client.Client) (*client.BackupRun, error) {
	before, err := c.BackupRuns(ctx)
	if err == nil {
		err = c.StartBackupRun(ctx)
		if client.Status(err) == http.StatusNotFound {
			err = fmt.Errorf("there is no schedule: begin with `quis backup schedule set`, or write a file with `quis backup FILE`: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	for {
		runs, err := c.BackupRuns(ctx)
		fresh := len(runs) > 0 && (len(before) == 0 || runs[0].StartedAt.After(before[0].StartedAt))
		switch {
		case err == nil && fresh && runs[0].EndedAt != nil:
			return &runs[0], nil
		case !fresh && time.Since(asked) > beginWithin:
			return nil, errors.Join(errors.New("the leader has not begun the backup: see `quis cluster status` and its log"), err)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
