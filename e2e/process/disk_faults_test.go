package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/faultfs"
	"github.com/quis-idp/quis/e2e/testbed"
)

// TestDiskFaultsOfOneNode: the disk of the leader fills up, becomes read-only, slow, or
// fails to sync (invariants 2 and 16). The others lead within seconds, the node says
// why it is not ready, nothing that it answered is lost, and it comes back by itself,
// or, where its process has to end, when it is started again.
func TestDiskFaultsOfOneNode(t *testing.T) {
	t.Parallel()
	disk, dir := faultfs.Mount(t)
	if disk == nil {
		return
	}
	defer disk.Set(faultfs.Fault{}) // a process that waits for the disk cannot be killed
	nodes := threeServers(t, testbed.Issuer)
	bad := nodes[0]
	bad.data = filepath.Join(dir, "data") // of a disk of 1 TiB
	for i, s := range nodes {
		s.keys["drain"] = "0s"
		s.keys["disk.refuse_below"] = "1024" // of 1 GiB, nothing is enough
		s.keys["disk.warn_below"] = "1024"
		s.bootstrap = i == 0
		s.run()
	}
	for _, s := range nodes {
		s.waitReady()
	}
	for _, story := range []struct {
		name  string
		fault faultfs.Fault
		says  []string // /readyz of the node; nil: it may stay ready
		ends  []string // the process, or may; what it says last
		must  bool     // it must end
	}{
		{name: "nearly full", fault: faultfs.Fault{Capacity: 1 << 30}, says: []string{"nothing can be written", "make room"}},
		{name: "full", fault: faultfs.Fault{WriteErr: syscall.ENOSPC}, says: []string{"nothing can be written", "is full"}, ends: []string{"no space left"}},
		{name: "read-only", fault: faultfs.Fault{ReadOnly: true}, says: []string{"nothing can be written", "read-only"}, ends: []string{"read-only file system"}},
		{name: "slow", fault: faultfs.Fault{SyncDelay: 2 * time.Second}},
		{name: "fsync fails", fault: faultfs.Fault{SyncErr: syscall.EIO}, ends: []string{"input/output error"}, must: true},
		{name: "hangs", fault: faultfs.Fault{Hang: true}, ends: []string{"does not answer"}, must: true},
	} {
		t.Logf("%s:", story.name)
		giveLead(t, nodes, 0)
		w := &patron{s: bad}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { w.run(ctx) })
		}
		w.wait(5)
		begun := time.Now()
		disk.Set(story.fault)
		waitFor(t, "another leader", func() bool { return leads(t.Context(), nodes[1]) || leads(t.Context(), nodes[2]) })
		t.Logf("another led after %v", time.Since(begun).Round(time.Millisecond))
		for _, s := range nodes[1:] {
			s.signIn()
		}
		t.Logf("people signed in at the others after %v", time.Since(begun).Round(time.Millisecond))
		ended := func() bool {
			select {
			case <-bad.done:
				return true
			default:
				return false
			}
		}
		if story.fault.Hang { // others lead before the node has given its disk up, and closed its port
			waitFor(t, "the node to fall silent", func() bool {
				c, err := net.DialTimeout("tcp", bad.keys["cluster.listen"], time.Second)
				if err == nil {
					c.Close()
				}
				return err != nil
			})
			disk.Set(faultfs.Fault{}) // until then nothing ends that waits for it
		}
		waitFor(t, "the node to say why", func() bool {
			return ended() || !story.must && holds(readiness(bad), story.says)
		})
		if story.ends == nil && ended() {
			t.Fatalf("the node ended:\n%s", bad.stderr.String())
		}
		cancel()
		all.Wait()
		disk.Set(faultfs.Fault{})
		begun = time.Now()
		if ended() {
			bad.failed(story.ends...)
			bad.run()
		}
		bad.waitReady()
		t.Logf("ready again after %v", time.Since(begun).Round(time.Millisecond))
		w.audit(t, nodes[1])
		bad.signIn()
	}
	for _, s := range nodes {
		s.stop()
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	for !ok() {
		select {
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// readiness is what /readyz says, with its details.
func readiness(s *server) string {
	resp, err := http.Get(s.operations() + "/readyz?verbose")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

func holds(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// giveLead makes node i of nodes the leader.
func giveLead(t *testing.T, nodes []*server, i int) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"to": nodes[i].keys["node_id"]})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the node to lead", func() bool {
		if leads(t.Context(), nodes[i]) {
			return true
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, nodes[i].public()+"/api/v1/cluster/transfer", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+apiToken)
		req.Header.Set("Content-Type", "application/json")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
		return leads(t.Context(), nodes[i])
	})
}
