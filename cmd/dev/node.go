package dev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopWithin is how long a node may take for an orderly stop before it is killed.
const stopWithin = 15 * time.Second

// States of a node process as `quis dev status` shows them.
const (
	stateRunning = "running"
	stateStopped = "stopped" // asked to stop
	stateKilled  = "killed"
	stateEnded   = "ended" // by itself, or by a signal from elsewhere
)

var (
	errRunning    = errors.New("is running already")
	errNotRunning = errors.New("is not running")
)

// A process is one node as a child of this one.
type process struct {
	place
	binary string

	mu    sync.Mutex // guards everything below
	cmd   *exec.Cmd
	alive *os.File // write end of the child's standard input; closing it ends the child
	done  chan struct{}
	state string
	began int64 // where in the log file this run begins
}

// start runs the node. What it writes goes to its log file.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateRunning {
		return fmt.Errorf("%s %w", p.Name, errRunning)
	}
	logFile, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	in, alive, err := os.Pipe()
	if err != nil {
		logFile.Close()
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if p.began, err = logFile.Seek(0, io.SeekEnd); err != nil {
		logFile.Close()
		in.Close()
		alive.Close()
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	cmd := exec.Command(p.binary, "server", "--config", p.configFile(), "--until-stdin-closes")
	cmd.Env = childEnv(os.Environ())
	cmd.Stdin = in
	// The file itself, not a pipe through here: the node must be able to log its
	// orderly stop when this process has died.
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	in.Close()
	logFile.Close()
	if err != nil {
		alive.Close()
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.alive, p.state, p.done = cmd, alive, stateRunning, make(chan struct{})
	go p.wait(cmd, alive, p.done)
	return nil
}

func (p *process) wait(cmd *exec.Cmd, alive *os.File, done chan struct{}) {
	cmd.Wait() // how it ended is in ProcessState
	p.mu.Lock()
	if p.state == stateRunning {
		p.state = stateEnded
	}
	p.mu.Unlock()
	alive.Close()
	close(done)
}

// stop asks the node to end in order and waits until it has; a node that does
// not is killed.
func (p *process) stop() error {
	return p.end(stateStopped, func(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) })
}

// kill ends the node with SIGKILL, as a power cut would.
func (p *process) kill() error {
	return p.end(stateKilled, func(cmd *exec.Cmd) error { return cmd.Process.Kill() })
}

func (p *process) end(state string, signal func(*exec.Cmd) error) error {
	p.mu.Lock()
	if p.state != stateRunning {
		p.mu.Unlock()
		return fmt.Errorf("%s %w", p.Name, errNotRunning)
	}
	p.state = state
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if err := signal(cmd); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	select {
	case <-done:
		return nil
	case <-time.After(stopWithin):
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	<-done
	return nil
}

// look returns the state and, while it runs, the process ID.
func (p *process) look() (state string, pid int, done <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && p.state == stateRunning {
		pid = p.cmd.Process.Pid
	}
	return p.state, pid, p.done
}

// lastWords is what the node wrote last in its present run, for the person in
// front of the terminal.
func (p *process) lastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := os.ReadFile(p.logFile())
	if err != nil || int64(len(b)) < p.began {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b[p.began:])), "\n")
	var last []string
	for _, l := range lines {
		if strings.HasPrefix(l, "quis: ") { // the error itself; the rest is the log
			last = append(last, l)
		}
	}
	if last != nil {
		lines = last
	}
	return strings.Join(lines[max(0, len(lines)-maxLastWords):], "\n")
}

const maxLastWords = 8 // lines

// how says how the last run ended: an exit code or a signal.
func (p *process) how() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.ProcessState == nil {
		return "unknown"
	}
	return p.cmd.ProcessState.String()
}

// signalled reports whether the last run was ended by a signal, not by itself.
func (p *process) signalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.cmd.ProcessState == nil {
		return false
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// childEnv drops the QUIS_ variables: a child's configuration is its file alone.
// GOMEMLIMIT and the like stay.
func childEnv(environ []string) []string {
	var out []string
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "QUIS_") {
			out = append(out, kv)
		}
	}
	return out
}
