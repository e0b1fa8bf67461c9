package argon2_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"testing"

	"golang.org/x/crypto/argon2"

	ours "github.com/quis-idp/quis/identity/credential/argon2"
)

// The memory of a hash before, of whatever size, must not show in the next.
func TestSameAsLibrary(t *testing.T) {
	var memory ours.Memory
	for range 200 {
		password, salt := make([]byte, mathrand.IntN(80)), make([]byte, 8+mathrand.IntN(40))
		rand.Read(password)
		rand.Read(salt)
		passes, kib := 1+mathrand.Uint32N(4), mathrand.Uint32N(600)
		lanes, size := uint8(1+mathrand.IntN(6)), 4+mathrand.Uint32N(200)
		got := memory.Key(ours.ID, password, salt, ours.Params{Memory: kib, Time: passes, Threads: lanes}, size)
		if want := argon2.IDKey(password, salt, passes, kib, lanes, size); !bytes.Equal(got, want) {
			t.Fatalf("t=%d m=%d p=%d size %d: %x, want %x", passes, kib, lanes, size, got, want)
		}
		got = memory.Key(ours.I, password, salt, ours.Params{Memory: kib, Time: passes, Threads: lanes}, size)
		if want := argon2.Key(password, salt, passes, kib, lanes, size); !bytes.Equal(got, want) {
			t.Fatalf("argon2i t=%d m=%d p=%d size %d: %x, want %x", passes, kib, lanes, size, got, want)
		}
	}
}

// Computed with the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32.
func TestReference(t *testing.T) {
	var memory ours.Memory
	got := memory.Key(ours.ID, []byte("password"), []byte("somesalt"), ours.Params{Memory: 1 << 16, Time: 2, Threads: 1}, 32)
	if want := "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"; hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

func TestNoAllocation(t *testing.T) {
	var memory ours.Memory
	hash := func() {
		memory.Key(ours.ID, []byte("correct horse battery"), []byte("sixteen bytes of"), ours.Params{Memory: 4096, Time: 1, Threads: 1}, 32)
	}
	hash()
	if r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			hash()
		}
	}); r.AllocedBytesPerOp() > 64<<10 {
		t.Errorf("%d bytes for a hash in memory that is there", r.AllocedBytesPerOp())
	}
}

func BenchmarkKept(b *testing.B) {
	var memory ours.Memory
	for range b.N {
		memory.Key(ours.ID, []byte("correct horse battery"), []byte("sixteen bytes of"), ours.Params{Memory: 19 << 10, Time: 2, Threads: 1}, 32)
	}
}

func BenchmarkLibrary(b *testing.B) {
	for range b.N {
		argon2.IDKey([]byte("correct horse battery"), []byte("sixteen bytes of"), 2, 19<<10, 1, 32)
	}
}
