package testbed

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starter is a thread that starts children and never ends.
var starter = sync.OnceValue(func() chan<- func() {
	do := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range do {
			f()
		}
	}()
	return do
})

// StartChild starts a child that is killed when this process ends, however it ends. To the
// kernel the parent is not the process but the thread that started the child, and threads
// end: those of password hashes (identity/credential) do after each, and would take a
// child with them if the same thread had started it.
func StartChild(cmd *exec.Cmd) error { return start(cmd, syscall.SIGKILL) }

func start(cmd *exec.Cmd, atEnd syscall.Signal) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: atEnd}
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	return <-started
}
