package netns

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// A space is one network namespace, held by a thread of its own. The thread lives
// as long as the space, because children with a Pdeathsig die with the thread
// that started them.
type space struct {
	do   chan func()
	path string // under which ip(8) finds it
	file *os.File
}

func newSpace() (*space, error) {
	s := &space{do: make(chan func())}
	made := make(chan error)
	go s.hold(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("new network namespace: %w", err)
	}
	return s, nil
}

// hold never unlocks its thread, which therefore ends with it instead of carrying
// the namespace on to other goroutines.
func (s *space) hold(made chan<- error) {
	runtime.LockOSThread()
	err := syscall.Unshare(syscall.CLONE_NEWNET)
	if err == nil {
		s.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", syscall.Gettid()))
	}
	if err == nil {
		s.path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.file.Fd())
	}
	made <- err
	if err != nil {
		return
	}
	for f := range s.do {
		f()
	}
}

// run calls f within the namespace: sockets that it opens and processes that it
// starts belong to it.
func (s *space) run(f func() error) error {
	done := make(chan error, 1)
	s.do <- func() { done <- f() }
	return <-done
}

func (s *space) close() {
	close(s.do)
	s.file.Close()
}

// command runs a program in the namespace, with input on its standard input.
func (s *space) command(input, name string, args ...string) error {
	return s.run(func() error { return command(input, name, args...) })
}

func command(input, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, out, input)
	}
	return nil
}
