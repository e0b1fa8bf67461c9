package backup_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/quis-idp/quis/cluster/backup"
)

// TestManyPartsOverASlowStore: what does not fit into one part comes back byte for byte,
// also from a store that answers in dribs and drabs and fails now and then; and when the
// writer fails after some parts, there is nothing.
func TestManyPartsOverASlowStore(t *testing.T) {
	t.Parallel()
	s3 := newBucketServer(t)
	s3.slow = true
	puts := 0
	s3.fail = func(r *http.Request) int {
		if r.Method == http.MethodPut {
			if puts++; puts == 2 {
				return http.StatusServiceUnavailable
			}
		}
		return 0
	}
	place := &backup.Schedule{Endpoint: s3.URL, AccessKey: "AKID"}
	const size = 2*backup.PartSize + 12345
	want := sha256.New()
	r, err := backup.Through(t.Context(), place, "secret", func(w io.Writer) error {
		_, err := io.CopyN(io.MultiWriter(w, want), rand.NewChaCha8([32]byte{1}), size)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := sha256.New()
	if n, err := io.Copy(got, r); err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d of %d bytes came back, or others: %v", n, size, err)
	}
	if puts < 4 {
		t.Errorf("%d parts were sent, want three and one of them twice", puts)
	}

	s3.mu.Lock()
	delete(s3.objects, "house/large")
	s3.mu.Unlock()
	fault := errors.New("the disk is gone")
	_, err = backup.Through(t.Context(), place, "secret", func(w io.Writer) error {
		if _, err := io.CopyN(w, rand.NewChaCha8([32]byte{2}), backup.PartSize+1); err != nil {
			return err
		}
		return fault
	})
	if !errors.Is(err, fault) || len(s3.names()) != 0 {
		t.Errorf("left %v after %v", s3.names(), err)
	}
}

// TestTruncatedAnswerIsNoBackup: a store that breaks off while an archive is read back
// has none.
func TestTruncatedAnswerIsNoBackup(t *testing.T) {
	t.Parallel()
	k, _ := keeper(t)
	s3 := newBucketServer(t)
	schedule(t, k, backup.Schedule{Every: time.Hour, KeepLast: 1, Target: "s3://vault/house", Endpoint: s3.URL, AccessKey: "AKID", Secret: "very secret"})
	s3.mu.Lock()
	s3.truncate = true
	s3.mu.Unlock()
	if r := ran(t, k); r.Good() || r.Error == "" || r.Deleted != 0 {
		t.Errorf("run %+v", r)
	}
	s3.mu.Lock()
	s3.truncate = false
	s3.mu.Unlock()
}
