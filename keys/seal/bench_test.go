package seal_test

import (
	"bytes"
	"testing"
)

func FuzzOpen(f *testing.F) {
	_, rs, _ := rings(f, 1)
	box := mustSeal(f, rs[0], "x")
	f.Add(box)
	f.Add([]byte{})
	f.Add(box[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := rs[0].Open(purpose, b, []byte("aad"))
		if bytes.Equal(b, box) != (err == nil) {
			t.Errorf("opened %x: %v", b, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	_, rs, _ := rings(b, 1)
	text := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rs[0].Seal(purpose, text, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	_, rs, _ := rings(b, 1)
	box, err := rs[0].Seal(purpose, make([]byte, 256), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rs[0].Open(purpose, box, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	_, rs, _ := rings(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rs[0].MAC(purpose, 1, []byte("data")); err != nil {
			b.Fatal(err)
		}
	}
}
