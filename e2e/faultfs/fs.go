package faultfs

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A Fault is what is wrong with the disk. The zero value is a good one.
type Fault struct {
	SyncDelay time.Duration // every fsync takes that long
	Hang      bool          // no fsync and no write returns until another fault is set
	SyncErr   syscall.Errno // what an fsync returns; what it should have kept stays unsynced
	WriteErr  syscall.Errno // what everything returns that would change a file, fsync not included
	ReadErr   syscall.Errno // what reading a file returns
	ReadOnly  bool          // EROFS for everything that would change something; fsync goes well, having nothing to do
	Capacity  int64         // bytes that fit; 0: 1 TiB. ENOSPC beyond
}

const plenty = 1 << 40

// A change is one name, or two of a rename, that no fsync of a directory has kept yet.
type change struct {
	dir, dir2   *item // dir2: of a rename
	name, name2 string
	was, is     *item // is: nil if the name was removed
}

// FS is one disk. Its methods may be called from any goroutine.
type FS struct {
	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed when the fault changes
	root    *item
	epoch   int // of power; what was opened in an earlier one is dead
	off     bool
	lastIno uint64
	pages   int64 // in use
	journal []change
	syncs   int
	cuts    int

	unmount func() error
}

func newFS() *FS {
	f := &FS{changed: make(chan struct{}), lastIno: 1}
	f.root = newItem(1, syscall.S_IFDIR|0o755)
	return f
}

// Set makes x what is wrong with the disk from now on.
func (f *FS) Set(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = x
	close(f.changed)
	f.changed = make(chan struct{})
}

// Syncs returns how many fsyncs have made something durable.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

// Unsynced returns how many pages and names a power cut could take.
func (f *FS) Unsynced() (pages, names int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.reach((*item).all) {
		pages += len(i.dirty)
	}
	return pages, len(f.journal)
}

// PowerCut pulls the plug: what was not synced is lost, as far as seed says, and until
// [FS.PowerOn] every access fails with EIO. Whatever was open stays dead for ever;
// end the processes that have it. The fault is kept.
func (f *FS) PowerCut(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 0))
	f.off = true
	f.epoch++
	f.cuts++
	f.loseNames(r)
	// Nothing may be known again under its old number: the kernel has cached it.
	made := map[*item]*item{}
	f.root = f.survivor(r, f.root, made)
	f.journal = nil
	f.pages = 0
	for i := range f.reach((*item).all) {
		f.pages += int64(len(i.now.pages))
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// PowerOn gives the disk its power back.
func (f *FS) PowerOn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = false
}

// loseNames decides which of the changes of names survive.
func (f *FS) loseNames(r *rand.Rand) {
	how, kept := r.IntN(3), r.IntN(len(f.journal)+1)
	for at, c := range f.journal {
		switch {
		case how == 0, how == 1 && at >= kept, how == 2 && r.IntN(2) == 0:
			continue
		}
		c.keep()
	}
}

// keep makes c durable.
func (c change) keep() {
	if c.dir2 != nil {
		c.dir2.durableNames[c.name2] = c.is
		if c.dir.durableNames[c.name] == c.is {
			delete(c.dir.durableNames, c.name)
		}
		return
	}
	if c.is != nil {
		c.dir.durableNames[c.name] = c.is
	} else if c.dir.durableNames[c.name] == c.was {
		delete(c.dir.durableNames, c.name)
	}
}

// survivor returns what is left of i.
func (f *FS) survivor(r *rand.Rand, i *item, made map[*item]*item) *item {
	if s := made[i]; s != nil {
		return s
	}
	s := newItem(f.nextIno(), i.mode)
	if i == f.root {
		s.ino = 1
	}
	s.when, s.link = i.when, i.link
	made[i] = s
	if !i.isDir() {
		s.now = i.cut(r)
		s.durable = content{size: s.now.size, pages: maps.Clone(s.now.pages)}
		return s
	}
	for name := range sorted(i.durableNames) {
		s.names[name] = f.survivor(r, i.durableNames[name], made)
		s.names[name].links++
	}
	s.durableNames = maps.Clone(s.names)
	return s
}

func (f *FS) nextIno() uint64 {
	f.lastIno++
	return f.lastIno
}

func (i *item) all() map[string]*item { return i.names }

// reach walks everything below the root once.
func (f *FS) reach(names func(*item) map[string]*item) iter.Seq[*item] {
	return func(yield func(*item) bool) {
		seen := map[*item]bool{}
		var walk func(*item) bool
		walk = func(i *item) bool {
			if seen[i] {
				return true
			}
			seen[i] = true
			if !yield(i) {
				return false
			}
			for _, c := range names(i) {
				if !walk(c) {
					return false
				}
			}
			return true
		}
		walk(f.root)
	}
}

// sorted walks a map in order, so that a seed decides alike every time.
func sorted[K int64 | string, V any](m map[K]V) iter.Seq[K] {
	return slices.Values(slices.Sorted(maps.Keys(m)))
}

// begin waits as long as the disk hangs, and returns with the lock held and what an
// access of an item opened in epoch gets. kind says what the access does.
func (f *FS) begin(epoch int, kind access) syscall.Errno {
	f.mu.Lock()
	for f.fault.Hang && kind >= writes && !f.off && epoch == f.epoch {
		changed := f.changed
		f.mu.Unlock()
		<-changed
		f.mu.Lock()
	}
	switch {
	case f.off || epoch != f.epoch:
		return syscall.EIO
	case kind == reads:
		return f.fault.ReadErr
	case kind == writes && f.fault.ReadOnly:
		return syscall.EROFS
	case kind == writes:
		return f.fault.WriteErr
	}
	return 0
}

type access int

const (
	looks access = iota
	reads
	writes
	syncs
)

// sync makes a file's content durable, or a directory's names.
func (f *FS) sync(i *item, epoch int) syscall.Errno {
	if errno := f.begin(epoch, syncs); errno != 0 {
		f.mu.Unlock()
		return errno
	}
	if d := f.fault.SyncDelay; d > 0 {
		changed := f.changed
		f.mu.Unlock()
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-changed:
		}
		t.Stop()
		if errno := f.begin(epoch, syncs); errno != 0 {
			f.mu.Unlock()
			return errno
		}
	}
	defer f.mu.Unlock()
	if f.fault.SyncErr != 0 {
		return f.fault.SyncErr
	}
	if f.fault.ReadOnly {
		return 0
	}
	f.syncs++
	if !i.isDir() {
		i.sync()
		return 0
	}
	f.journal = slices.DeleteFunc(f.journal, func(c change) bool {
		if c.dir != i && c.dir2 != i {
			return false
		}
		c.keep()
		return true
	})
	return 0
}

// room says whether pages more fit.
func (f *FS) room(pages int64) syscall.Errno {
	if (f.pages+pages)*pageSize > f.capacity() {
		return syscall.ENOSPC
	}
	return 0
}

func (f *FS) capacity() int64 {
	if f.fault.Capacity > 0 {
		return f.fault.Capacity
	}
	return plenty
}

// bind gives i a name; what had it before loses it.
func (f *FS) bind(dir *item, name string, i *item) {
	f.unbind(dir, name)
	dir.names[name] = i
	i.links++
	dir.when = time.Now()
}

func (f *FS) unbind(dir *item, name string) {
	was := dir.names[name]
	if was == nil {
		return
	}
	delete(dir.names, name)
	dir.when = time.Now()
	if was.links--; was.links == 0 {
		f.pages -= int64(len(was.now.pages)) // those of open files no longer count
	}
}
