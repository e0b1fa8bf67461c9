package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/api/admin/archive"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
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

// createBackup sends the archive with what is known of it as a header, and the rest as a
// trailer: an answer without the trailer was cut off. It is recorded before a byte leaves,
// for whoever has an archive that was cut off has most of it.
func (a *API) createBackup(c *call, in *recipients, w http.ResponseWriter) error {
	if c.R.ContentLength != 0 {
		return identity.Invalid("", "this request takes no body")
	}
	to := strings.FieldsFunc(in.Recipients, func(r rune) bool { return r == ',' })
	if _, err := backup.ParseRecipients(to); err != nil {
		return backupProblem(err)
	}
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{
			Tenant: identity.DefaultTenant, Type: event.ClusterBackupCreated, Target: event.Target{Kind: "cluster"}, Data: archive.SealedFor(to),
		})
	})
	if err != nil {
		return err
	}
	if err := unhurried(w); err != nil {
		return err
	}
	out := &begun{w: w}
	i, err := a.cfg.Backups.Write(c.Ctx, out, to, func(i backup.Info) {
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
	b, err := json.Marshal(archive.Show(i))
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
	// Nobody vouches for an archive that was opened on its way but who sends it, and it may hold
	// anything: it takes somebody who has the node's own files. An administrator's token is not that.
	actor := identity.ActorFrom(c.Ctx)
	opened := actor.Kind == identity.ActorOperator
	var i backup.Info
	var err error
	if in.Check {
		i, err = a.cfg.Backups.Check(c.Ctx, body, opened)
	} else {
		i, err = a.cfg.Backups.Restore(c.Ctx, body, string(actor.Kind)+" "+actor.ID, opened)
	}
	if err != nil {
		return backupProblem(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(archive.Show(i))
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

func (a *API) getSchedule(c *call, _ *none) (*archive.Schedule, error) {
	var out archive.Schedule
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) error {
		s, err := loadSchedule(tx)
		out = archive.ShowSchedule(s)
		return err
	})
	return &out, err
}

// loadSchedule returns an empty schedule where there is none.
func loadSchedule(tx *fsm.Tx) (*backup.Schedule, error) {
	s, err := backup.LoadSchedule(tx)
	if errors.Is(err, fsm.ErrNotFound) {
		return &backup.Schedule{}, nil
	}
	if err != nil {
		return &backup.Schedule{}, err
	}
	return s, nil
}

// scheduleFields is the same as a request, which is another schema than that of an answer.
type scheduleFields archive.Schedule

type scheduleChange struct {
	Body scheduleFields
}

func (a *API) replaceSchedule(c *call, in *scheduleChange) (*archive.Schedule, error) {
	b := in.Body
	if b.EveryMinutes < 0 || b.EveryMinutes > 31*24*60 {
		return nil, identity.Invalid("every_minutes", "must be between 0 and 44640")
	}
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		old, err := loadSchedule(tx)
		if err != nil {
			return err
		}
		if b.EveryMinutes == 0 && old.Every == 0 {
			return nil
		}
		err = a.cfg.Backups.SetSchedule(tx, backup.Schedule{
			Every: time.Duration(b.EveryMinutes) * time.Minute, KeepLast: b.KeepLast, KeepDays: b.KeepDays, Target: b.Target,
			Endpoint: b.Endpoint, Region: b.Region, AccessKey: b.AccessKey, Secret: b.SecretKey, Recipients: b.Recipients,
		})
		if err != nil {
			return err
		}
		now, err := loadSchedule(tx)
		if err != nil {
			return err
		}
		if e, changed := archive.ChangeOf(old, now); changed {
			return event.Append(tx, e)
		}
		return nil
	})
	if err != nil {
		return nil, backupProblem(err)
	}
	return a.getSchedule(c, nil)
}

type backupRuns struct {
	Data []archive.Run `json:"data" doc:"Newest first."`
}

func (a *API) listRuns(c *call, _ *none) (*backupRuns, error) {
	out := &backupRuns{Data: []archive.Run{}}
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) error {
		runs, err := backup.Runs(tx)
		for _, r := range runs {
			out.Data = append(out.Data, archive.ShowRun(r))
		}
		return err
	})
	return out, err
}

func (a *API) startRun(c *call, _ *none) (*none, error) {
	return &none{}, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := backup.Want(tx); err != nil {
			return err
		}
		return event.Append(tx, event.Event{Tenant: identity.DefaultTenant, Type: event.ClusterBackupRequested, Target: event.Target{Kind: "cluster"}})
	})
}
