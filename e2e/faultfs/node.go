package faultfs

import (
	"context"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A node is what the kernel knows of an item.
type node struct {
	fs.Inode
	f     *FS
	of    *item // nil: the root, whatever it is
	epoch int   // of -1: the present one
}

// item returns what n stands for, with f's lock held.
func (n *node) item() *item {
	if n.of == nil {
		return n.f.root
	}
	return n.of
}

// in is the epoch that n belongs to. The root belongs to all of them.
func (n *node) in() int {
	if n.of != nil {
		return n.epoch
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	return n.f.epoch
}

func (i *item) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Size, out.Blksize = i.ino, i.mode, uint64(i.now.size), pageSize
	out.Blocks = uint64(len(i.now.pages)) * pageSize / 512
	out.Nlink = uint32(max(1, i.links))
	out.Uid, out.Gid = owner()
	out.SetTimes(&i.when, &i.when, &i.when)
}

// child makes the kernel's view of i, which stands in n.
func (n *node) child(ctx context.Context, i *item, out *fuse.EntryOut) *fs.Inode {
	i.attr(&out.Attr)
	return n.NewInode(ctx, &node{f: n.f, of: i, epoch: n.f.epoch}, fs.StableAttr{Mode: i.mode & syscall.S_IFMT, Ino: i.ino})
}

// Lookup finds a name.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	errno := n.f.begin(n.in(), looks)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return nil, errno
	}
	i := n.item().names[name]
	if i == nil {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, i, out), 0
}

// Readdir lists a directory.
func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	errno := n.f.begin(n.in(), looks)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return nil, errno
	}
	var list []fuse.DirEntry
	for name := range sorted(n.item().names) {
		i := n.item().names[name]
		list = append(list, fuse.DirEntry{Name: name, Ino: i.ino, Mode: i.mode})
	}
	return fs.NewListDirStream(list), 0
}

// Getattr describes an item.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	errno := n.f.begin(n.in(), looks)
	defer n.f.mu.Unlock()
	if errno == 0 {
		n.item().attr(&out.Attr)
	}
	return errno
}

// Setattr changes size and mode.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return errno
	}
	i := n.item()
	if size, ok := in.GetSize(); ok && !i.isDir() {
		before := len(i.now.pages)
		i.resize(int64(size))
		n.f.use(i, before)
	}
	if mode, ok := in.GetMode(); ok {
		i.mode = i.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
	}
	i.attr(&out.Attr)
	return 0
}

// use counts the pages that i has gained or lost.
func (f *FS) use(i *item, before int) {
	if i.links > 0 {
		f.pages += int64(len(i.now.pages) - before)
	}
}

// Open needs no state: nodes are what is read and written.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	kind := looks
	if flags&(syscall.O_WRONLY|syscall.O_RDWR|syscall.O_TRUNC) != 0 {
		kind = writes
	}
	errno := n.f.begin(n.in(), kind)
	defer n.f.mu.Unlock()
	if kind == writes && errno == n.f.fault.WriteErr && errno != syscall.EROFS {
		errno = 0 // opening writes nothing
	}
	return nil, 0, errno
}

// Read reads.
func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	errno := n.f.begin(n.in(), reads)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return nil, errno
	}
	return fuse.ReadResultData(n.item().read(dest, off)), 0
}

// Write writes into memory; nothing is durable yet.
func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return 0, errno
	}
	i := n.item()
	if errno := n.f.room(i.fresh(off, int64(len(data)))); errno != 0 {
		return 0, errno
	}
	before := len(i.now.pages)
	i.write(data, off)
	n.f.use(i, before)
	return uint32(len(data)), 0
}

// Allocate makes a file longer; room is taken when it is written.
func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return errno
	}
	i := n.item()
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	if end := int64(off + size); end > i.now.size {
		i.resize(end)
	}
	return 0
}

// Fsync makes content or names durable.
func (n *node) Fsync(_ context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	epoch := n.in()
	n.f.mu.Lock()
	i := n.item()
	n.f.mu.Unlock()
	return n.f.sync(i, epoch)
}

// Flush is the end of a file descriptor, which makes nothing durable.
func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// make adds a new item under a name.
func (n *node) make(ctx context.Context, name string, mode uint32, link string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno == 0 {
		errno = n.f.room(1)
	}
	if errno != 0 {
		return nil, errno
	}
	dir := n.item()
	if dir.names[name] != nil {
		return nil, syscall.EEXIST
	}
	i := newItem(n.f.nextIno(), mode)
	i.link = link
	n.f.bind(dir, name, i)
	n.f.journal = append(n.f.journal, change{dir: dir, name: name, is: i})
	return n.child(ctx, i, out), 0
}

// Create makes a file.
func (n *node) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	i, errno := n.make(ctx, name, syscall.S_IFREG|mode&0o7777, "", out)
	return i, nil, 0, errno
}

// Mkdir makes a directory.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, syscall.S_IFDIR|mode&0o7777, "", out)
}

// Mknod makes a file or a socket.
func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if mode&syscall.S_IFMT == 0 {
		mode |= syscall.S_IFREG
	}
	return n.make(ctx, name, mode, "", out)
}

// Symlink makes a symbolic link.
func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, syscall.S_IFLNK|0o777, target, out)
}

// Readlink reads a symbolic link.
func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	errno := n.f.begin(n.in(), looks)
	defer n.f.mu.Unlock()
	return []byte(n.item().link), errno
}

// Link gives a file another name.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	to, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return nil, errno
	}
	dir, i := n.item(), to.item()
	if dir.names[name] != nil {
		return nil, syscall.EEXIST
	}
	n.f.bind(dir, name, i)
	n.f.journal = append(n.f.journal, change{dir: dir, name: name, is: i})
	return n.child(ctx, i, out), 0
}

// Unlink takes a file's name away.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno { return n.remove(name, false) }

// Rmdir removes an empty directory.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno { return n.remove(name, true) }

func (n *node) remove(name string, directory bool) syscall.Errno {
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno == syscall.ENOSPC { // a full disk can be emptied
		errno = 0
	}
	if errno != 0 {
		return errno
	}
	dir := n.item()
	i := dir.names[name]
	switch {
	case i == nil:
		return syscall.ENOENT
	case directory && len(i.names) > 0:
		return syscall.ENOTEMPTY
	}
	n.f.unbind(dir, name)
	n.f.journal = append(n.f.journal, change{dir: dir, name: name, was: i})
	return 0
}

// Rename moves a name, over another if there is one.
func (n *node) Rename(_ context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	if !ok || flags&^1 != 0 { // RENAME_NOREPLACE is known
		return syscall.EINVAL
	}
	errno := n.f.begin(n.in(), writes)
	defer n.f.mu.Unlock()
	if errno != 0 {
		return errno
	}
	from, into := n.item(), to.item()
	i := from.names[name]
	switch {
	case i == nil:
		return syscall.ENOENT
	case into.names[newName] != nil && flags&1 != 0:
		return syscall.EEXIST
	case into.names[newName] != nil && len(into.names[newName].names) > 0:
		return syscall.ENOTEMPTY
	case into.names[newName] == i:
		return 0
	}
	n.f.bind(into, newName, i)
	i.links--
	delete(from.names, name)
	n.f.journal = append(n.f.journal, change{dir: from, name: name, dir2: into, name2: newName, is: i})
	return 0
}

// Statfs tells of the room there is.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	all := uint64(n.f.capacity() / pageSize)
	free := all - min(all, uint64(n.f.pages))
	*out = fuse.StatfsOut{Blocks: all, Bfree: free, Bavail: free, Files: 1 << 20, Ffree: 1 << 20, Bsize: pageSize, Frsize: pageSize, NameLen: 255}
	return 0
}

// Names returns what a directory holds at the moment, path by path from the root, as a
// process would see it; for tests that look from outside.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	var walk func(at string, i *item)
	walk = func(at string, i *item) {
		for name, c := range i.names {
			list = append(list, at+name)
			walk(at+name+"/", c)
		}
	}
	walk("", f.root)
	slices.Sort(list)
	return list
}
