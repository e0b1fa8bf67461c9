// Package argon2 computes argon2 (RFC 9106), version 0x13, in memory that is kept.
//
// golang.org/x/crypto/argon2 allocates the whole memory of every hash anew: with 19 MiB
// a hash and a small live heap each sign-in made the collector run, and every request
// of the node paid for it. Here the memory is the caller's.
//
// The cryptography is x/crypto's: its compression function (in assembly) and its hashes are
// linked by name. Ours is only the order in which blocks are filled (RFC 9106 §3.4). A
// release of x/crypto that changes them fails to link, or fails the tests, which compare
// with [golang.org/x/crypto/argon2.IDKey] over random costs.
package argon2

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/crypto/argon2"
)

const (
	words      = 128 // of eight bytes in a block of 1 KiB
	slices     = 4   // of a pass: lanes meet after each
	prehashed  = 64  // bytes of H_0, which two counters follow
	blockBytes = 8 * words

	// After so many blocks, half a millisecond, who waits for the core gets it. Otherwise the kernel
	// looks at the next tick only, up to 4 ms later, which is long for a request.
	yielding = 1024
)

// A Mode says what the choice of blocks depends on (RFC 9106 §3.1).
type Mode int

// The modes, by their numbers in the hash.
const (
	D  Mode = 0 // on the password: for imported hashes only
	I  Mode = 1 // on nothing secret: for imported hashes only
	ID Mode = 2 // first on nothing secret, then on the password
)

type block [words]uint64

// Memory is what hashes are computed in, outside the heap: the collector neither counts nor
// scans it. The zero value is ready; it grows to the largest hash asked of it and is kept
// until Release. It serves one hash at a time.
type Memory struct{ mapped []byte }

// Key returns the hash of size bytes with the given costs. The lanes are computed one after
// the other. It panics unless passes and lanes are at least 1, as x/crypto does.
func (m *Memory) Key(mode Mode, password, salt []byte, p Params, size uint32) []byte {
	passes, memory, lanes := p.Time, p.Memory, p.Threads
	if passes < 1 || lanes < 1 {
		panic("argon2: passes and lanes are at least 1")
	}
	h0 := initHash(password, salt, nil, nil, passes, memory, uint32(lanes), size, int(mode))
	unit := slices * uint32(lanes)
	f := filling{mode: mode, passes: passes, lanes: uint32(lanes), memory: max(memory/unit, 2) * unit}
	f.lane = f.memory / f.lanes
	f.segment = f.lane / slices
	f.blocks = m.blocks(f.memory)
	f.begin(&h0)
	for pass := range passes {
		for slice := range uint32(slices) {
			for lane := range f.lanes {
				f.fill(pass, slice, lane)
			}
		}
	}
	return f.key(size)
}

// blocks returns n blocks of zeroes: the compression function adds to what is there.
func (m *Memory) blocks(n uint32) []block {
	size := int(n) * blockBytes
	if len(m.mapped) >= size {
		clear(m.mapped[:size])
	} else {
		m.Release()
		var err error
		m.mapped, err = syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(fmt.Sprintf("argon2: %d bytes of memory: %v", size, err)) // as the runtime does when there is none
		}
	}
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(m.mapped))), n)
}

// Release gives the memory back to the system.
func (m *Memory) Release() {
	if m.mapped != nil {
		syscall.Munmap(m.mapped) // fails for what Mmap did not return only
		m.mapped = nil
	}
}

// A filling is one hash being computed.
type filling struct {
	mode                  Mode
	blocks                []block
	passes, lanes, memory uint32 // memory in blocks
	lane, segment         uint32 // blocks of a lane, of a lane's slice
}

// begin makes the first two blocks of each lane (RFC 9106 §3.2, steps 3 and 4).
func (f *filling) begin(h0 *[prehashed + 8]byte) {
	var raw [blockBytes]byte
	for lane := range f.lanes {
		binary.LittleEndian.PutUint32(h0[prehashed+4:], lane)
		for i := range uint32(2) {
			binary.LittleEndian.PutUint32(h0[prehashed:], i)
			blake2bHash(raw[:], h0[:])
			b := &f.blocks[lane*f.lane+i]
			for w := range b {
				b[w] = binary.LittleEndian.Uint64(raw[8*w:])
			}
		}
	}
}

// fill computes one slice of one lane. Which blocks are referred to depends on what was
// computed (argon2d) or on nothing secret (argon2i); argon2id begins with this and goes on with that.
func (f *filling) fill(pass, slice, lane uint32) {
	var addresses, in, zero block
	independent := f.mode == I || f.mode == ID && pass == 0 && slice < slices/2
	next := func() {
		in[6]++
		processBlock(&addresses, &in, &zero)
		processBlock(&addresses, &addresses, &zero)
	}
	if independent {
		in = block{uint64(pass), uint64(lane), uint64(slice), uint64(f.memory), uint64(f.passes), uint64(f.mode)}
	}
	first := uint32(0)
	if pass == 0 && slice == 0 {
		first = 2 // made by begin
		if independent {
			next()
		}
	}
	at := lane*f.lane + slice*f.segment + first
	for i := first; i < f.segment; i, at = i+1, at+1 {
		previous := at - 1
		if i == 0 && slice == 0 {
			previous += f.lane // the last of the lane
		}
		random := f.blocks[previous][0]
		if independent {
			if i%words == 0 {
				next()
			}
			random = addresses[i%words]
		}
		processBlockXOR(&f.blocks[at], &f.blocks[previous], &f.blocks[f.reference(random, pass, slice, lane, i)])
		if i%yielding == yielding-1 {
			Yield()
		}
	}
}

// Yield has whoever waits for this core get it now: what computes for long calls it each half
// millisecond.
func Yield() {
	syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // never fails
}

// reference maps 64 pseudo-random bits to a block that is already there (RFC 9106 §3.4.2).
func (f *filling) reference(random uint64, pass, slice, lane, i uint32) uint32 {
	from := uint32(random>>32) % f.lanes
	if pass == 0 && slice == 0 {
		from = lane
	}
	size, start := (slices-1)*f.segment, (slice+1)%slices*f.segment
	if pass == 0 {
		size, start = slice*f.segment, 0
	}
	if from == lane {
		size += i
	}
	if i == 0 || from == lane {
		size--
	}
	x := random & 0xffffffff
	x = x * x >> 32
	x = uint64(size) * x >> 32
	return from*f.lane + uint32((uint64(start)+uint64(size)-(x+1))%uint64(f.lane))
}

// key is the hash of the last blocks of all lanes (RFC 9106 §3.2, steps 7 and 8).
func (f *filling) key(size uint32) []byte {
	last := f.blocks[f.memory-1]
	for lane := range f.lanes - 1 {
		for w, v := range f.blocks[(lane+1)*f.lane-1] {
			last[w] ^= v
		}
	}
	var raw [blockBytes]byte
	for w, v := range last {
		binary.LittleEndian.PutUint64(raw[8*w:], v)
	}
	key := make([]byte, size)
	blake2bHash(key, raw[:])
	return key
}

// Version is the version of argon2 that is computed (RFC 9106 §3.1: 0x13).
const Version = argon2.Version

//go:linkname initHash golang.org/x/crypto/argon2.initHash
func initHash(password, salt, key, data []byte, time, memory, threads, keyLen uint32, mode int) [prehashed + 8]byte

//go:linkname blake2bHash golang.org/x/crypto/argon2.blake2bHash
func blake2bHash(out, in []byte)

//go:linkname processBlock golang.org/x/crypto/argon2.processBlock
//go:noescape
func processBlock(out, in1, in2 *block)

//go:linkname processBlockXOR golang.org/x/crypto/argon2.processBlockXOR
//go:noescape
func processBlockXOR(out, in1, in2 *block)
