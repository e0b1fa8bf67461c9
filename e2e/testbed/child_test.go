package testbed

import (
	"os/exec"
	"runtime"
	"testing"
)

// TestChildOutlivesThread: a child goes on when the thread that asked for it has ended.
func TestChildOutlivesThread(t *testing.T) {
	for range 4 { // the first thread of a process does not end, and may be one of them
		cmd := exec.Command("cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocks it: the thread ends here
			started <- StartChild(cmd)
		}()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 10)
		if _, err := out.Read(got); err != nil || string(got) != "still here" {
			t.Errorf("the child said %q, %v", got, err)
		}
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
	}
}
