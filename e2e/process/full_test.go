package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// TestFullDisk fills the disk of a node while people sign in and applications
// refresh. Whatever was answered must be there once there is room again; the node
// may answer 503 or end, but must never say yes to what it could not store.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 24<<20)
	if disk == "" {
		return
	}
	s := newServer(t)
	s.data = filepath.Join(disk, "data")
	s.start()
	w := &patron{s: s}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { w.run(ctx) })
	}
	w.wait(8)
	ballast := fill(t, disk)
	s.staysOrEnds(false)
	cancel()
	wg.Wait()
	s.staysOrEnds(true) // started again, and still no room
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	default: // it was not ready, and is again by itself
		s.waitReady()
		s.signIn()
		s.stop()
	}
	copied := newServer(t)
	if err := os.RemoveAll(filepath.Join(s.data, "quis.sock")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(copied.data, os.DirFS(s.data)); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*server{s, copied} {
		s.bootstrap = false
		s.start()
		w.audit(t, s)
		s.signIn()
		s.stop()
	}
}

// staysOrEnds waits until the node on a full disk says that nothing can be written, or
// has ended for that reason. anew starts it first, if it has ended.
func (s *server) staysOrEnds(anew bool) {
	s.t.Helper()
	if anew {
		select {
		case <-s.done:
			s.run()
		default:
		}
	}
	ended := false
	waitFor(s.t, "the node to notice that its disk is full", func() bool {
		select {
		case <-s.done:
			ended = true
		default:
		}
		return ended || holds(readiness(s), []string{"nothing can be written", "make room"}) || holds(readiness(s), []string{"nothing can be written", "is full"})
	})
	if ended {
		s.failed("disk", "is full", "make room")
	}
}

// A patron signs in and refreshes at one node, and remembers what was answered.
type patron struct {
	s *server

	mu      sync.Mutex
	answers int
	live    []string // the latest refresh token of each family
}

func (w *patron) run(ctx context.Context) {
	for ctx.Err() == nil {
		a, err := tester().Authorize(ctx, w.s.public(), web)
		if w.refused(ctx, "sign in", err) {
			continue
		}
		tokens, err := web.Exchange(ctx, w.s.public(), a)
		if w.refused(ctx, "exchange", err) {
			continue
		}
		at := w.answered(-1, tokens)
		for range 20 {
			next, err := web.Refresh(ctx, w.s.public(), tokens.RefreshToken)
			if w.refused(ctx, "refresh", err) {
				break
			}
			tokens = next
			w.answered(at, tokens)
		}
	}
}

// refused says whether err is one, and complains unless it is honest: 503, or no answer.
func (w *patron) refused(ctx context.Context, what string, err error) bool {
	if code, _ := status(err); code != 0 && code != 503 && ctx.Err() == nil {
		w.s.t.Errorf("%s on a full disk: %v", what, err)
	}
	if err != nil {
		select { // do not spin until the test notices that the node has ended
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err != nil
}

func (w *patron) answered(at int, tokens *testbed.Tokens) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers++
	if at < 0 {
		at = len(w.live)
		w.live = append(w.live, "")
	}
	w.live[at] = tokens.RefreshToken
	return at
}

// wait returns once n answers have come.
func (w *patron) wait(n int) {
	w.s.t.Helper()
	for end := time.Now().Add(patience); ; {
		w.mu.Lock()
		enough := w.answers >= n
		w.mu.Unlock()
		if enough {
			return
		}
		if time.Now().After(end) {
			w.s.t.Fatal("nobody gets an answer")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// audit redeems the last token that every family was answered, at s.
func (w *patron) audit(t *testing.T, s *server) {
	t.Helper()
	for i, token := range w.live {
		if _, err := web.Refresh(t.Context(), s.public(), token); err != nil {
			t.Errorf("the answered token of family %d is lost: %v", i, err)
		}
	}
	t.Logf("%d answers before the disk was full, %d families kept", w.answers, len(w.live))
}

// fill takes all the room there is, down to the last byte.
func fill(t *testing.T, disk string) (file string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for block := 1 << 20; block > 0; {
		if _, err := f.Write(make([]byte, block)); err != nil {
			block /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// smallDisk returns a directory on a file system of its own of size bytes. A mount
// needs a privilege: root has it, others in a user namespace, whose files are
// reached through /proc. Where neither is allowed it returns "".
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	options := fmt.Sprintf("size=%d,mode=0700", size)
	err := syscall.Mount("quis-test", dir, "tmpfs", 0, options)
	if err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	holder := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
		`mount -t tmpfs -o "$0" quis-test "$1" && echo mounted && exec cat`, options, dir)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testbed.StartChild(holder); err != nil {
		return noSmallDisk(t, err)
	}
	t.Cleanup(func() {
		stdin.Close()
		holder.Wait()
	})
	answer := make([]byte, len("mounted"))
	if _, err := io.ReadFull(stdout, answer); err != nil || !strings.HasPrefix(string(answer), "mounted") {
		return noSmallDisk(t, err)
	}
	return filepath.Join("/proc", fmt.Sprint(holder.Process.Pid), "root", dir)
}

func noSmallDisk(t *testing.T, err error) string {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("no file system can be mounted here, neither by this user nor in a user namespace: %v", err)
	}
	t.Logf("NOT TESTED: no file system can be mounted here, neither by this user nor in a user namespace: %v", err)
	return ""
}
