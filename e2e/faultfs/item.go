package faultfs

import (
	"maps"
	"math/rand/v2"
	"syscall"
	"time"
)

const (
	pageSize   = 4096
	sectorSize = 512 // what a disk writes whole
)

type page [pageSize]byte

// An item is a file, a directory or a socket: as it is seen now, and as it would be
// after a power cut. Pages are shared between the two and never changed once they are.
type item struct {
	ino  uint64
	mode uint32 // with the type
	when time.Time
	link string // of a symbolic link

	now, durable content
	dirty        map[int64]bool // pages that differ

	names, durableNames map[string]*item // of a directory
	links               int              // names that lead here, those of open files not counted
}

type content struct {
	size  int64
	pages map[int64]*page // absent: zeros
}

func (i *item) isDir() bool { return i.mode&syscall.S_IFMT == syscall.S_IFDIR }

func newItem(ino uint64, mode uint32) *item {
	i := &item{ino: ino, mode: mode, when: time.Now()}
	if i.isDir() {
		i.names, i.durableNames = map[string]*item{}, map[string]*item{}
		return i
	}
	i.now.pages, i.durable.pages, i.dirty = map[int64]*page{}, map[int64]*page{}, map[int64]bool{}
	return i
}

func (i *item) read(dest []byte, off int64) []byte {
	if off >= i.now.size {
		return nil
	}
	dest = dest[:min(int64(len(dest)), i.now.size-off)]
	for done := int64(0); done < int64(len(dest)); {
		at := off + done
		n := min(pageSize-at%pageSize, int64(len(dest))-done)
		if p := i.now.pages[at/pageSize]; p != nil {
			copy(dest[done:done+n], p[at%pageSize:])
		} else {
			clear(dest[done : done+n])
		}
		done += n
	}
	return dest
}

// fresh returns how many pages a write would add.
func (i *item) fresh(off, size int64) (pages int64) {
	for at := off / pageSize; at*pageSize < off+size; at++ {
		if i.now.pages[at] == nil {
			pages++
		}
	}
	return pages
}

func (i *item) write(data []byte, off int64) {
	for done := int64(0); done < int64(len(data)); {
		at := off + done
		n := min(pageSize-at%pageSize, int64(len(data))-done)
		copy(i.mine(at / pageSize)[at%pageSize:], data[done:done+n])
		done += n
	}
	i.now.size = max(i.now.size, off+int64(len(data)))
	i.when = time.Now()
}

// mine returns a page that may be changed.
func (i *item) mine(at int64) *page {
	p := i.now.pages[at]
	if p == nil {
		p = new(page)
	} else if i.durable.pages[at] == p {
		c := *p
		p = &c
	}
	i.now.pages[at] = p
	i.dirty[at] = true
	return p
}

// resize cuts off or adds zeros.
func (i *item) resize(size int64) {
	if size < i.now.size {
		for at := range i.now.pages {
			if at*pageSize >= size {
				delete(i.now.pages, at)
				i.dirty[at] = true
			}
		}
		if in := size % pageSize; in != 0 && i.now.pages[size/pageSize] != nil {
			clear(i.mine(size / pageSize)[in:])
		}
	}
	i.now.size = size
	i.when = time.Now()
}

// sync makes the content durable.
func (i *item) sync() {
	for at := range i.dirty {
		if p := i.now.pages[at]; p != nil {
			i.durable.pages[at] = p
		} else {
			delete(i.durable.pages, at)
		}
	}
	clear(i.dirty)
	i.durable.size = i.now.size
}

// cut returns what a power cut leaves of a file.
func (i *item) cut(r *rand.Rand) content {
	c := content{size: i.durable.size, pages: maps.Clone(i.durable.pages)}
	how := r.IntN(3)
	if how == 0 || len(i.dirty) == 0 && i.now.size == i.durable.size { // all that was not synced is lost
		return c
	}
	if how == 1 || r.IntN(2) == 0 {
		c.size = i.now.size
	}
	for at := range sorted(i.dirty) {
		old, p := c.pages[at], i.now.pages[at]
		if how == 2 {
			switch r.IntN(3) {
			case 0:
				continue
			case 1:
				p = tear(r, old, p)
			}
		}
		if p == nil {
			delete(c.pages, at)
		} else {
			c.pages[at] = p
		}
	}
	for at := range c.pages { // behind the end
		if at*pageSize >= c.size {
			delete(c.pages, at)
		}
	}
	return c
}

// tear returns a page of which some sectors are new and the others old.
func tear(r *rand.Rand, old, now *page) *page {
	var p page
	for at := 0; at < pageSize; at += sectorSize {
		from := old
		if r.IntN(2) == 0 {
			from = now
		}
		if from != nil {
			copy(p[at:at+sectorSize], from[at:])
		}
	}
	return &p
}
