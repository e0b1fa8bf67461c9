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
// end, with a goroutine that is locked to one, and would take a child with them that they
// happened to start.
func StartChild(cmd *exec.Cmd) error { return start(cmd, syscall.SIGKILL) }

func start(cmd *exec.Cmd, atEnd syscall.Signal) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: atEnd}
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	return <-started
}
