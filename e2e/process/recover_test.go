package process

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/quis-idp/quis/e2e/testbed"
)

// TestMajorityIsLostForEver loses two nodes of three, recovers the third and has two fresh ones join it.
func TestMajorityIsLostForEver(t *testing.T) {
	t.Parallel()
	nodes := threeServers(t, testbed.Issuer)
	startAll(nodes)
	held := somePast(t, nodes[0])
	left := nodes[0]
	if out, err := quis(t, "recover", "--data-dir", left.data, "--yes"); err == nil || !strings.Contains(out, "in use") {
		t.Errorf("a running node was recovered: %v\n%s", err, out)
	}
	for _, s := range nodes {
		s.kill()
	}
	for _, s := range nodes[1:] {
		if err := os.RemoveAll(s.data); err != nil {
			t.Fatal(err)
		}
	}
	var shown []struct {
		NodeID string   `json:"node_id"`
		Voters []string `json:"voters"`
		Best   bool     `json:"best"`
	}
	if err := json.Unmarshal([]byte(mustQuis(t, "recover", "--show", "-o", "json", "--data-dir", left.data)), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown) != 1 || !shown[0].Best || len(shown[0].Voters) != 3 {
		t.Errorf("shown %+v", shown)
	}
	mustQuis(t, "recover", "--data-dir", left.data, "--yes")
	for _, s := range nodes {
		s.bootstrap = false
	}
	left.start()
	held.isVoid(t, left)
	left.signIn()
	for _, s := range nodes[1:] {
		s.start()
		s.signIn()
	}
	restored(t, nodes[2])
	untilTrue(t, "three voters", func() bool {
		v, err := testbed.Sample(t.Context(), nodes[2].operations(), `quis_raft_peers{voter="true"}`)
		return err == nil && v == 3
	})
	for _, s := range nodes {
		s.stop()
	}
}
