package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// maxArchive bounds an upload, in bytes; what it says of itself is bounded by what arrives.
const maxArchive = 1 << 40

func (a *API) backups() []route {
	return []route{
		{Method: "POST", Path: "/cluster/backups", Needs: ofInstallation, Op: "createBackup", Summary: "Make a backup and send it: a sealed archive, then trailers Quis-Backup (what it is, as JSON) and nothing else.", Do: streaming[recipients](a.createBackup)},
		{Method: "POST", Path: "/cluster/restore", Needs: ofInstallation, Op: "restoreBackup", Summary: "Replace the state of the whole cluster by a backup, which is the body of the request. Everybody is signed out.", Do: streaming[restoreOptions](a.restoreBackup)},
		{Method: "GET", Path: "/cluster/backup-schedule", Needs: ofInstallation, Op: "getBackupSchedule", Summary: "When the cluster is backed up, and where to.", Do: handle(a.getSchedule)},
		{Method: "PUT", Path: "/cluster/backup-schedule", Needs: ofInstallation, Op: "replaceBackupSchedule", Summary: "Say when the cluster is backed up, and where to.", Do: handle(a.replaceSchedule)},
		{Method: "GET", Path: "/cluster/backup-runs", Needs: ofInstallation, Op: "listBackupRuns", Summary: "The latest scheduled backups.", Do: handle(a.listRuns)},
		{Method: "POST", Path: "/cluster/backup-runs", Needs: ofInstallation, Op: "startBackupRun", Summary: "Make a backup by the schedule now.", Status: http.StatusAccepted, Do: handle(a.startRun)},
	}
}

type recipients struct {
	Recipients string `query:"recipients" max:"4096" doc:"age public keys (age1…) to seal to, separated by commas; none: the root key."`
}

type restoreOptions struct {
	Check bool `query:"check" doc:"Only check the archive and whether it could be restored here."`
}

type backupInfo struct {
	backup.Info
	Bytes  int64  `json:"bytes" doc:"Size of the archive."`
	SHA256 string `json:"sha256,omitempty" doc:"SHA-256 of the archive."`
	Rows   int64  `json:"rows" doc:"Rows in it."`
	Events int64  `json:"events" doc:"Events in it."`
}

func showBackup(i backup.Info) backupInfo {
	return backupInfo{Info: i, Bytes: i.Bytes, SHA256: i.SHA256, Rows: i.Rows, Events: i.Events}
}

// createBackup sends the archive with what is known of it as a header, and the rest as a
// trailer: an answer without the trailer was cut off.
func (a *API) createBackup(c *call, in *recipients, w http.ResponseWriter) error {
	if c.R.ContentLength != 0 {
		return identity.Invalid("", "this request takes no body")
	}
	if err := unhurried(w); err != nil {
		return err
	}
	out := &begun{w: w}
	i, err := a.cfg.Backups.Write(c.Ctx, out, strings.FieldsFunc(in.Recipients, func(r rune) bool { return r == ',' }), func(i backup.Info) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Trailer", "Quis-Backup")
		describe(w, "Quis-Backup-Begun", i)
	})
	if err != nil && !out.wrote {
		return backupProblem(err)
	}
	if err == nil {
		describe(w, "Quis-Backup", i)
	}
	return nil // the missing trailer says that it failed
}

func describe(w http.ResponseWriter, header string, i backup.Info) {
	b, err := json.Marshal(showBackup(i))
	if err == nil {
		w.Header().Set(header, string(b))
	}
}

// begun notes whether the answer has begun.
type begun struct {
	w     http.ResponseWriter
	wrote bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.wrote = true
	return b.w.Write(p)
}

// unhurried lifts the time limits of a connection: an archive takes as long as it takes.
func unhurried(w http.ResponseWriter) error {
	c := http.NewResponseController(w)
	return errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}))
}

func (a *API) restoreBackup(c *call, in *restoreOptions, w http.ResponseWriter) error {
	if err := unhurried(w); err != nil {
		return err
	}
	body := http.MaxBytesReader(w, c.R.Body, maxArchive)
	var i backup.Info
	var err error
	if in.Check {
		i, err = a.cfg.Backups.Check(c.Ctx, body)
	} else {
		actor := identity.ActorFrom(c.Ctx)
		i, err = a.cfg.Backups.Restore(c.Ctx, body, string(actor.Kind)+" "+actor.ID)
	}
	if err != nil {
		return backupProblem(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(showBackup(i))
}

// backupProblem tells the caller what is wrong with the archive, or why it cannot be now.
func backupProblem(err error) error {
	switch {
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, backup.ErrSchedule), errors.Is(err, backup.ErrRecipient), errors.Is(err, io.ErrUnexpectedEOF):
		return &identity.Error{Kind: identity.ErrInvalid, Detail: err.Error()}
	case errors.Is(err, backup.ErrKey), errors.Is(err, fsm.ErrRefused):
		return &identity.Error{Kind: problem.ErrState, Detail: err.Error()}
	}
	return err
}

type backupSchedule struct {
	EveryMinutes int      `json:"every_minutes" doc:"Minutes between two backups; 0: none are made."`
	KeepLast     int      `json:"keep_last,omitempty" doc:"How many archives stay at the target; 0: their number does not matter."`
	KeepDays     int      `json:"keep_days,omitempty" doc:"Archives younger than this stay; 0: age does not matter. With neither, all stay."`
	Target       string   `json:"target,omitempty" doc:"file:///directory, which every node needs, or s3://bucket/prefix."`
	Endpoint     string   `json:"endpoint,omitempty" doc:"Of S3: https://host or http://host:port; may be a private address."`
	Region       string   `json:"region,omitempty" doc:"Of S3."`
	AccessKey    string   `json:"access_key,omitempty" doc:"Of S3."`
	SecretKey    string   `json:"secret_key,omitempty" doc:"Of S3; never returned. Left out: the one that is there, if target, endpoint and access key stay."`
	HasSecret    bool     `json:"has_secret" doc:"Whether there is a secret key; what is sent does not matter."`
	Recipients   []string `json:"recipients,omitempty" doc:"age public keys to seal to; none: the root key."`
}

func (backupSchedule) SchemaName() string { return "BackupSchedule" }

func (a *API) getSchedule(c *call, _ *none) (*backupSchedule, error) {
	var out backupSchedule
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) error {
		s, err := backup.LoadSchedule(tx)
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil {
			out = showSchedule(s)
		}
		return err
	})
	return &out, err
}

func showSchedule(s *backup.Schedule) backupSchedule {
	return backupSchedule{
		EveryMinutes: int(s.Every / time.Minute), KeepLast: s.KeepLast, KeepDays: s.KeepDays, Target: s.Target,
		Endpoint: s.Endpoint, Region: s.Region, AccessKey: s.AccessKey, HasSecret: len(s.Sealed) > 0, Recipients: s.Recipients,
	}
}

// scheduleFields is the same as a request, which is another schema than that of an answer.
type scheduleFields backupSchedule

type scheduleChange struct {
	Body scheduleFields
}

func (a *API) replaceSchedule(c *call, in *scheduleChange) (*backupSchedule, error) {
	b := in.Body
	if b.EveryMinutes < 0 || b.EveryMinutes > 31*24*60 {
		return nil, identity.Invalid("every_minutes", "must be between 0 and 44640")
	}
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return a.cfg.Backups.SetSchedule(tx, backup.Schedule{
			Every: time.Duration(b.EveryMinutes) * time.Minute, KeepLast: b.KeepLast, KeepDays: b.KeepDays, Target: b.Target,
			Endpoint: b.Endpoint, Region: b.Region, AccessKey: b.AccessKey, Secret: b.SecretKey, Recipients: b.Recipients,
		})
	})
	if err != nil {
		return nil, backupProblem(err)
	}
	return a.getSchedule(c, nil)
}

type backupRun struct {
	StartedAt time.Time  `json:"started_at" doc:"When it began."`
	EndedAt   *time.Time `json:"ended_at,omitempty" doc:"When it ended."`
	Node      string     `json:"node" doc:"Node that made it."`
	Target    string     `json:"target" doc:"Where to."`
	Name      string     `json:"name,omitempty" doc:"Of the archive there."`
	Bytes     int64      `json:"bytes" doc:"Size of the archive."`
	SHA256    string     `json:"sha256,omitempty" doc:"SHA-256 of the archive."`
	Index     uint64     `json:"index" doc:"Log entry that it stands at."`
	Deleted   int        `json:"deleted" doc:"Older archives that were deleted afterwards."`
	Verified  bool       `json:"verified" doc:"Whether it was read back whole."`
	Error     string     `json:"error,omitempty" doc:"Why it failed."`
}

func (backupRun) SchemaName() string { return "BackupRun" }

type backupRuns struct {
	Data []backupRun `json:"data" doc:"Newest first."`
}

func (a *API) listRuns(c *call, _ *none) (*backupRuns, error) {
	out := &backupRuns{Data: []backupRun{}}
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) error {
		runs, err := backup.Runs(tx)
		for _, r := range runs {
			show := backupRun{
				StartedAt: r.Started, Node: r.Node, Target: r.Target, Name: r.Name, Bytes: r.Bytes, SHA256: r.SHA256,
				Index: r.Index, Deleted: r.Deleted, Verified: r.Good(), Error: r.Error,
			}
			if !r.Ended.IsZero() {
				show.EndedAt = &r.Ended
			}
			out.Data = append(out.Data, show)
		}
		return err
	})
	return out, err
}

func (a *API) startRun(c *call, _ *none) (*none, error) {
	return &none{}, a.cfg.DB.Update(c.Ctx, backup.Want)
}
