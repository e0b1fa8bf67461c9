// Package archive is what the administration API says of backups: the fields that callers
// and the record of events see, made of what package cluster/backup knows.
//
// No secret of a target is in any of it; the record says only that one was set.
package archive

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

// maxNamed is how many recipients of a backup the record names.
const maxNamed = 20

// An Info says what an archive is, as JSON.
type Info struct {
	backup.Info
	Bytes  int64  `json:"bytes" doc:"Size of the archive."`
	SHA256 string `json:"sha256,omitempty" doc:"SHA-256 of the archive."`
	Rows   int64  `json:"rows" doc:"Rows in it."`
	Events int64  `json:"events" doc:"Events in it."`
}

// Show makes an Info.
func Show(i backup.Info) Info {
	return Info{Info: i, Bytes: i.Bytes, SHA256: i.SHA256, Rows: i.Rows, Events: i.Events}
}

// SealedFor says for whom an archive is sealed, in words for the record. An age public key is
// its own best fingerprint; of many, the first ones are named.
func SealedFor(recipients []string) map[string]string {
	if len(recipients) == 0 {
		return map[string]string{"sealed": backup.SealedRoot}
	}
	data := map[string]string{"sealed": backup.SealedAge, "recipients": strconv.Itoa(len(recipients))}
	for i, r := range recipients[:min(len(recipients), maxNamed)] {
		data["recipient_"+strconv.Itoa(i+1)] = r
	}
	return data
}

// A Schedule says when the cluster is backed up.
type Schedule struct {
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

// SchemaName is what the description of the API calls it.
func (Schedule) SchemaName() string { return "BackupSchedule" }

// ShowSchedule makes a Schedule, without the secret.
func ShowSchedule(s *backup.Schedule) Schedule {
	return Schedule{
		EveryMinutes: int(s.Every / time.Minute), KeepLast: s.KeepLast, KeepDays: s.KeepDays, Target: s.Target,
		Endpoint: s.Endpoint, Region: s.Region, AccessKey: s.AccessKey, HasSecret: len(s.Sealed) > 0, Recipients: s.Recipients,
	}
}

// ChangeOf returns the event of a change of the schedule, or ok false if nothing changed.
func ChangeOf(old, now *backup.Schedule) (e event.Event, ok bool) {
	was, is := ShowSchedule(old), ShowSchedule(now)
	var all []event.Change
	note := func(field string, before, after any) {
		if before != after {
			all = append(all, event.Change{Field: field, Before: fmt.Sprint(before), After: fmt.Sprint(after)})
		}
	}
	note("every_minutes", was.EveryMinutes, is.EveryMinutes)
	note("keep_last", was.KeepLast, is.KeepLast)
	note("keep_days", was.KeepDays, is.KeepDays)
	note("target", was.Target, is.Target)
	note("endpoint", was.Endpoint, is.Endpoint)
	note("region", was.Region, is.Region)
	note("access_key", was.AccessKey, is.AccessKey)
	note("recipients", strings.Join(was.Recipients, " "), strings.Join(is.Recipients, " "))
	if !bytes.Equal(old.Sealed, now.Sealed) {
		all = append(all, event.Change{Field: "secret_key"})
	}
	return event.Event{
		Tenant: identity.DefaultTenant, Type: event.ClusterBackupScheduleChanged, Target: event.Target{Kind: "cluster"},
		Data: SealedFor(now.Recipients), Changes: all,
	}, len(all) > 0
}

// A Run is one backup that the schedule asked for.
type Run struct {
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

// SchemaName is what the description of the API calls it.
func (Run) SchemaName() string { return "BackupRun" }

// ShowRun makes a Run.
func ShowRun(r *backup.Run) Run {
	show := Run{
		StartedAt: r.Started, Node: r.Node, Target: r.Target, Name: r.Name, Bytes: r.Bytes, SHA256: r.SHA256,
		Index: r.Index, Deleted: r.Deleted, Verified: r.Good(), Error: r.Error,
	}
	if !r.Ended.IsZero() {
		show.EndedAt = &r.Ended
	}
	return show
}
