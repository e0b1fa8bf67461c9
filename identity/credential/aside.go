package credential

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/quis-idp/quis/identity/credential/argon2"
)

// A hash takes a core for 25 ms, a request 0.2 ms. So that requests never wait for hashes,
// hashes run on threads to which the kernel gives a core when nobody else wants it
// (SCHED_IDLE): a thread that wakes up takes it away at once. Less priority alone is not
// enough: a thread that has just used its share waits for the next tick, up to 4 ms.
//
// On a machine whose cores are never idle such a thread would get a thousandth of one. So a
// hash that does not get on is taken up by a thread with a tenth of the weight of others.
const (
	lowered    = 10                     // added to nice(2): a tenth of the weight
	unhurried  = 150 * time.Millisecond // of waiting for a core, after which a hash does not get on
	afterwards = 10 * time.Second       // in which no other hash has to find that out
	schedIdle  = 5                      // SCHED_IDLE of sched(7), which package syscall lacks
)

// aside calls next until it reports that there is no more to do. Hashes of other systems
// cannot be taken up in the middle, so they are not begun on a thread that may not get on.
func (p *Pool) aside(alg string, next step, m *argon2.Memory) {
	more := true
	if alg == ours && time.Since(time.Unix(0, p.starved.Load())) > afterwards {
		onThread(lowest, func() {
			for waited := waiting(); more && waited() < unhurried; {
				more = next(m)
			}
		})
		if more {
			p.starved.Store(time.Now().UnixNano())
		}
	}
	if more {
		onThread(lower, func() {
			for next(m) {
			}
		})
	}
}

// waiting tells how long this thread has not had a core since it was called. Threads are
// used again, and have used one for others before.
func waiting() (waited func() time.Duration) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(thread, &u); err != nil {
			return 0
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began, before := time.Now(), used()
	return func() time.Duration { return time.Since(began) - (used() - before) }
}

const thread = 1 // RUSAGE_THREAD of getrusage(2), which package syscall lacks

// onThread calls f on a thread of its own, changed before. The thread ends with f: giving
// priority back needs a privilege. A panic of f is the caller's.
func onThread(change, f func()) {
	fault := make(chan any)
	go func() {
		defer func() { fault <- recover() }()
		runtime.LockOSThread() // never unlocked: so the thread ends
		change()
		f()
	}()
	if p := <-fault; p != nil {
		panic(p)
	}
}

// lower gives this thread less priority than it has. Refused, a hash is only less polite.
func lower() {
	if p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil { // the kernel says 20 - nice
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, min(20-p+lowered, 19))
	}
}

// lowest lets this thread run when no other wants to; where that is refused, it is lower.
func lowest() {
	var priority int32 // 0, the only one of this policy
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedIdle, uintptr(unsafe.Pointer(&priority)))
	if errno != 0 {
		lower()
	}
}
