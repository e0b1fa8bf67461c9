package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A Schedule says when the leader backs the cluster up, where to, and what is kept.
type Schedule struct {
	Every      time.Duration `cbor:"1,keyasint,omitempty"`
	KeepLast   int           `cbor:"2,keyasint,omitempty"` // how many archives stay; 0: the number does not matter
	KeepDays   int           `cbor:"3,keyasint,omitempty"` // how old one may get; 0: age does not matter
	Target     string        `cbor:"4,keyasint,omitempty"` // file:///directory, on every node, or s3://bucket/prefix
	Endpoint   string        `cbor:"5,keyasint,omitempty"` // of S3: https://host, http://host:port
	Region     string        `cbor:"6,keyasint,omitempty"`
	AccessKey  string        `cbor:"7,keyasint,omitempty"`
	Sealed     []byte        `cbor:"8,keyasint,omitempty"` // the secret key, wrapped under the root key
	Recipients []string      `cbor:"9,keyasint,omitempty"` // age; none: sealed under the root key
	Wanted     time.Time     `cbor:"10,keyasint,omitempty"`

	Secret string `cbor:"-"` // to set; empty: the one that is there. Never filled
}

// A Run is one backup that the schedule asked for.
type Run struct {
	Started time.Time `cbor:"1,keyasint,omitempty"`
	Ended   time.Time `cbor:"2,keyasint,omitempty"` // zero: under way, or its leader fell
	Node    string    `cbor:"3,keyasint,omitempty"`
	Name    string    `cbor:"4,keyasint,omitempty"` // of the archive at the target
	Target  string    `cbor:"5,keyasint,omitempty"`
	Bytes   int64     `cbor:"6,keyasint,omitempty"`
	SHA256  string    `cbor:"7,keyasint,omitempty"`
	Index   uint64    `cbor:"8,keyasint,omitempty"`
	Error   string    `cbor:"9,keyasint,omitempty"` // empty and Ended: verified
	Deleted int       `cbor:"10,keyasint,omitempty"`
}

// Good reports whether the archive was written and read back whole.
func (r *Run) Good() bool { return !r.Ended.IsZero() && r.Error == "" }

// maxRuns are remembered.
const maxRuns = 100

var (
	// The secret hangs on the root key and not on the sealing ring: that goes back with a restore.
	schedules = fsm.NewTable(153, "backup_schedule", fsm.Spec[Schedule]{
		Key: func(*Schedule) fsm.Key { return fsm.K("schedule") }, Own: true,
	})
	runs = fsm.NewTable(154, "backup_runs", fsm.Spec[Run]{
		Key: func(r *Run) fsm.Key { return fsm.Key("").Time(r.Started) }, Own: true,
	})
)

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{schedules, runs}

// ErrSchedule is the kind of what is wrong with a schedule.
var ErrSchedule = errors.New("backup schedule")

var secretContext = []byte("backup target secret")

// LoadSchedule returns the schedule without its secret, or fsm.ErrNotFound.
func LoadSchedule(tx *fsm.Tx) (*Schedule, error) {
	return schedules.Get(tx, fsm.Global, fsm.K("schedule"))
}

// SetSchedule replaces the schedule; Every 0 ends it. It reports ErrSchedule for one that
// cannot work, before anything is written.
func (k *Keeper) SetSchedule(tx *fsm.Tx, s Schedule) error {
	if s.Every == 0 {
		return schedules.Delete(tx, fsm.Global, fsm.K("schedule"))
	}
	old, err := LoadSchedule(tx)
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	if s.Secret != "" {
		if s.Sealed, err = k.Root.Wrap([]byte(s.Secret), secretContext); err != nil {
			return err
		}
	} else if old != nil && old.Target == s.Target && old.Endpoint == s.Endpoint && old.AccessKey == s.AccessKey {
		s.Sealed = old.Sealed // never sent to another place than the one it was given for
	}
	if err := s.check(k); err != nil {
		return err
	}
	s.Secret, s.Wanted = "", time.Time{}
	return schedules.Put(tx, &s)
}

func (s *Schedule) check(k *Keeper) error {
	switch {
	case s.Every < time.Minute || s.Every > 31*24*time.Hour:
		return fmt.Errorf("every: want between one minute and 31 days: %w", ErrSchedule)
	case s.KeepLast < 0 || s.KeepLast > 10_000 || s.KeepDays < 0 || s.KeepDays > 36_500:
		return fmt.Errorf("keep: want 0 to 10000 archives, 0 to 36500 days: %w", ErrSchedule)
	case len(s.Target)+len(s.Endpoint)+len(s.Region)+len(s.AccessKey) > 4096 || len(s.Recipients) > 20:
		return fmt.Errorf("too long: %w", ErrSchedule)
	}
	if _, err := ParseRecipients(s.Recipients); err != nil {
		return fmt.Errorf("%w: %w", err, ErrSchedule)
	}
	_, err := k.target(s)
	return err
}

// Want asks the leader for a backup by the schedule as soon as it can, or reports
// fsm.ErrNotFound without one.
func Want(tx *fsm.Tx) error {
	s, err := LoadSchedule(tx)
	if err != nil {
		return err
	}
	s.Wanted = tx.Now()
	return schedules.Put(tx, s)
}

// Runs returns the latest runs, newest first.
func Runs(tx *fsm.Tx) ([]*Run, error) {
	var out []*Run
	for r, err := range runs.List(tx, fsm.Global, fsm.Reverse()) {
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// due reports whether a run should begin, and puts its row.
func (k *Keeper) begin(tx *fsm.Tx) (*Schedule, *Run, error) {
	s, err := LoadSchedule(tx)
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	all, err := Runs(tx)
	if err != nil {
		return nil, nil, err
	}
	last := time.Time{}
	if len(all) > 0 {
		last = all[0].Started
	}
	wanted := !s.Wanted.IsZero()
	if tx.Now().Sub(last) < s.Every && !wanted {
		return nil, nil, nil
	}
	if wanted { // this run is the answer
		s.Wanted = time.Time{}
		if err := schedules.Put(tx, s); err != nil {
			return nil, nil, err
		}
	}
	for i, r := range all {
		// There is one leader and it does one thing at a time: who has not ended has fallen.
		if r.Ended.IsZero() {
			r.Ended, r.Error = tx.Now(), "abandoned: the node was stopped or no longer led"
			if err := runs.Put(tx, r); err != nil {
				return nil, nil, err
			}
		}
		if i >= maxRuns {
			if err := runs.Delete(tx, fsm.Global, fsm.Key("").Time(r.Started)); err != nil {
				return nil, nil, err
			}
		}
	}
	r := &Run{Started: tx.Now(), Node: k.NodeID, Target: s.Target}
	if !r.Started.After(last) { // the row of each run has its own time
		r.Started = last.Add(time.Millisecond)
	}
	return s, r, runs.Put(tx, r)
}

// RunDue makes the backup that is due by the schedule, if one is: it is a duty of the
// leader, and ctx ends with the leadership.
func (k *Keeper) RunDue(ctx context.Context) error {
	var s *Schedule
	var r *Run
	err := k.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		s, err = LoadSchedule(tx)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // nobody wants any: costs nothing
		return nil
	}
	if err == nil {
		err = k.DB.Update(ctx, func(tx *fsm.Tx) (err error) {
			s, r, err = k.begin(tx)
			return err
		})
	}
	if err != nil || r == nil {
		return err
	}
	begun := time.Now()
	err = k.run(ctx, s, r)
	if ctx.Err() != nil {
		return ctx.Err() // the next leader says in the row that it was abandoned
	}
	if err != nil {
		r.Error = fmt.Sprintf("%.900s", err)
		k.figures.failed()
		k.Logger.Error("scheduled backup failed", "target", s.Target, "error", err)
	} else {
		k.Logger.Info("scheduled backup made", "target", s.Target, "name", r.Name, "bytes", r.Bytes, "took", time.Since(begun).Round(time.Millisecond).String())
	}
	return k.DB.Update(ctx, func(tx *fsm.Tx) error {
		r.Ended = tx.Now()
		return runs.Put(tx, r)
	})
}

// run writes an archive to the target, reads it back, and then clears up.
func (k *Keeper) run(ctx context.Context, s *Schedule, r *Run) error {
	to, err := k.target(s)
	if err != nil {
		return err
	}
	r.Name = archiveName(k.Cluster, r.Started)
	var made Info
	err = to.put(ctx, r.Name, func(w writer) (err error) {
		made, err = k.Write(ctx, w, s.Recipients, nil)
		return err
	})
	if err != nil {
		return err
	}
	r.Bytes, r.SHA256, r.Index = made.Bytes, made.SHA256, made.Index
	if err := k.readBack(ctx, to, r.Name, made); err != nil {
		return fmt.Errorf("read back %s: %w", r.Name, err)
	}
	names, err := to.list(ctx)
	if err != nil {
		return fmt.Errorf("list old backups: %w", err)
	}
	for _, name := range superfluous(names, k.Cluster, r.Name, r.Started, s.KeepLast, s.KeepDays) {
		if err := to.remove(ctx, name); err != nil {
			return fmt.Errorf("delete old backup %s: %w", name, err)
		}
		r.Deleted++
	}
	return nil
}

func (k *Keeper) readBack(ctx context.Context, from target, name string, made Info) error {
	f, err := from.get(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	var read Info
	if made.Sealed == SealedRoot {
		read, err = Verify(f, Keys{Root: k.Root}, nil)
	} else { // only the recipient can open it
		read, err = hashed(f)
	}
	if err == nil && (read.SHA256 != made.SHA256 || read.Bytes != made.Bytes) {
		err = fmt.Errorf("%d bytes with SHA-256 %s were written, %d with %s are there: %w", made.Bytes, made.SHA256, read.Bytes, read.SHA256, ErrDamaged)
	}
	return err
}
