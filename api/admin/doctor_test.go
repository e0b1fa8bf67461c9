package admin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/api/client"
)

func TestDiagnosisNamesTheWorst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got, err := h.client(h.root).Doctor(t.Context())
	h.must(err)
	want := &client.Diagnosis{Level: "warn", Findings: []client.Finding{
		{Check: "clock", Level: "ok", Found: "well"},
		{Check: "backup", Level: "warn", Found: "none are scheduled", Advice: "Schedule backups: `quis backup schedule set --every 24h --target file:///DIRECTORY`. If a job of your own runs `quis backup`, all is well; see that it does."},
		{Check: "mail", Level: "warn", Found: "no mail is sent: people get no codes, links or notices", Advice: "Say with which server: quis mail set; then quis mail test."},
		{Node: "n1", Check: "disk space", Level: "warn", Found: "little", Advice: "Make room."},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	h.want(403, h.acme, "GET", "/api/v1/cluster/doctor", "") // says much about the machines
}
