package admin_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/quis-idp/quis/api/client"
)

// Who was sent a copy of everything, and where copies go, is on record.
func TestBackupsAreOnRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, c := t.Context(), h.client(h.root)
	me, err := age.GenerateX25519Identity()
	h.must(err)
	key := me.Recipient().String()
	var archive bytes.Buffer
	if _, err := c.CreateBackup(ctx, &archive, []string{key}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBackup(ctx, io.Discard, []string{"age1nobody"}, nil); client.Status(err) != 400 {
		t.Errorf("a backup for nobody: %v", err)
	}
	only := func(kind string) client.Event {
		t.Helper()
		events, err := c.Events(ctx, client.EventFilter{Type: kind})
		h.must(err)
		if len(events.Data) != 1 {
			t.Fatalf("%d events %s", len(events.Data), kind)
		}
		return events.Data[0]
	}
	if e := only("cluster.backup_created"); e.Data["recipient_1"] != key || e.Data["recipients"] != "1" || e.Actor.ID != h.rootUser {
		t.Errorf("a backup is recorded as %+v", e)
	}

	s := client.BackupSchedule{EveryMinutes: 60, Target: "file:///var/backups", Recipients: []string{key}}
	for range 2 { // the second time nothing changes
		if _, err := c.SetBackupSchedule(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	h.must(c.StartBackupRun(ctx))
	e := only("cluster.backup_schedule_changed")
	said := map[string]string{}
	for _, f := range e.Changes {
		said[f.Field] = f.After
	}
	if len(said) != 3 || said["every_minutes"] != "60" || said["target"] != s.Target || said["recipients"] != key {
		t.Errorf("changes %v", said)
	}
	only("cluster.backup_requested")
	for range 2 {
		off, err := c.SetBackupSchedule(ctx, client.BackupSchedule{})
		if err != nil || off.EveryMinutes != 0 {
			t.Errorf("ended: %+v, %v", off, err)
		}
	}
	events, err := c.Events(ctx, client.EventFilter{Type: "cluster.backup_schedule_changed"})
	if err != nil || len(events.Data) != 2 {
		t.Errorf("%d changes, %v", len(events.Data), err)
	}
}

// Nothing vouches for an archive that was opened on its way: an administrator's token is not
// enough to put what it holds in the place of everything.
func TestOpenedArchiveNeedsTheSocket(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, check := range []bool{true, false} {
		_, err := h.client(h.root).RestoreBackup(t.Context(), strings.NewReader("quis-opened-1\nand what follows"), check)
		if client.Status(err) != 409 || !strings.Contains(err.Error(), "socket") {
			t.Errorf("check %v: %v", check, err)
		}
	}
}
