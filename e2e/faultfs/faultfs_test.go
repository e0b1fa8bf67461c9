package faultfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/quis-idp/quis/e2e/testbed"
)

// The child does what must not be done in the process that serves the file system.
const childEnv = "QUIS_FAULTFS_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		if err := child(how, os.Args[len(os.Args)-1]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(how, path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: how == "unsynced", Timeout: time.Second})
	if err != nil {
		return err
	}
	if how == "check" {
		return db.View(func(tx *bbolt.Tx) error {
			for err := range tx.Check() {
				return err
			}
			last := uint64(0)
			if b := tx.Bucket([]byte("b")); b != nil {
				if err := b.ForEach(func(k, v []byte) error {
					if n := binary.BigEndian.Uint64(k); n != last+1 || string(v) != strings.Repeat(strconv.FormatUint(n, 10), 50) {
						return fmt.Errorf("entry %d after %d: %.20q", n, last, v)
					}
					last++
					return nil
				}); err != nil {
					return err
				}
			}
			fmt.Println(last)
			return nil
		})
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return err
	}
	for n := uint64(1); ; n++ {
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put(binary.BigEndian.AppendUint64(nil, n), []byte(strings.Repeat(strconv.FormatUint(n, 10), 50)))
		}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func start(t *testing.T, how, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), childEnv+"="+how)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := testbed.StartChild(cmd); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// commits lets a child commit n transactions, pulls the plug, and returns how many it
// was told were durable and how many are.
func commits(t *testing.T, f *FS, how, path string, n int, seed uint64) (told, kept int, err error) {
	t.Helper()
	cmd, lines := start(t, how, path)
	for lines.Scan() && told < n {
		if told, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(lines.Text())
		}
	}
	f.PowerCut(seed)
	for lines.Scan() { // answered while the plug was pulled
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			told = n
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	f.PowerOn()
	cmd, lines = start(t, "check", path)
	said := ""
	for lines.Scan() {
		said = lines.Text()
	}
	cmd.Wait()
	if kept, err = strconv.Atoi(said); err != nil {
		return told, 0, errors.New(said)
	}
	return told, kept, nil
}

// TestPowerCut: what a database has synced survives, read through its memory map,
// and what it has not is really lost: the negative control.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	f, dir := Mount(t)
	if f == nil {
		return
	}
	lost := 0
	for seed := range uint64(6) {
		path := filepath.Join(dir, fmt.Sprintf("synced-%d", seed))
		told, kept, err := commits(t, f, "synced", path, 20+int(seed), seed)
		if err != nil || kept < told {
			t.Errorf("seed %d: %d commits were answered, %d are there, %v", seed, told, kept, err)
		}
		path = filepath.Join(dir, fmt.Sprintf("unsynced-%d", seed))
		if told, kept, err := commits(t, f, "unsynced", path, 20+int(seed), seed); err != nil || kept < told {
			lost++
		}
	}
	if lost == 0 {
		t.Error("nothing was lost without fsync: the plug was not pulled")
	}
	t.Logf("without fsync %d of 6 power cuts cost something", lost)
}

func write(t *testing.T, path, text string, sync bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

func syncDir(t *testing.T, path string) {
	t.Helper()
	d, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestNames: a name lives when its directory was synced, and either way of a rename
// is whole.
func TestNames(t *testing.T) {
	t.Parallel()
	f, dir := Mount(t)
	if f == nil {
		return
	}
	outcomes := map[string]int{}
	for seed := range uint64(40) {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		write(t, a, "old", true)
		syncDir(t, dir)
		write(t, b, "new", true)
		if err := os.Rename(b, a); err != nil {
			t.Fatal(err)
		}
		f.PowerCut(seed)
		if _, err := os.ReadFile(a); !errors.Is(err, syscall.EIO) {
			t.Fatalf("without power: %v, want EIO", err)
		}
		f.PowerOn()
		got, err := os.ReadFile(a)
		if err != nil || string(got) != "old" && string(got) != "new" {
			t.Fatalf("seed %d: %q, %v", seed, got, err)
		}
		outcomes[string(got)]++
		write(t, b, "newer", true)
		if err := os.Rename(b, a); err != nil {
			t.Fatal(err)
		}
		syncDir(t, dir)
		f.PowerCut(seed)
		f.PowerOn()
		if got, err := os.ReadFile(a); err != nil || string(got) != "newer" {
			t.Fatalf("seed %d: a synced rename is lost: %q, %v", seed, got, err)
		}
		os.Remove(a)
		os.Remove(b)
		syncDir(t, dir)
	}
	if outcomes["old"] == 0 || outcomes["new"] == 0 {
		t.Errorf("an unsynced rename came out as %v: both ways should be seen", outcomes)
	}
}

// TestFaults sets each fault and takes it away again.
func TestFaults(t *testing.T) {
	t.Parallel()
	f, dir := Mount(t)
	if f == nil {
		return
	}
	path := filepath.Join(dir, "file")
	write(t, path, "before", true)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	try := func(what string, got error, want syscall.Errno) {
		t.Helper()
		if want == 0 && got != nil || want != 0 && !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	put := func() error { _, err := file.WriteAt([]byte("after"), 0); return err }
	f.Set(Fault{SyncErr: syscall.EIO})
	try("write", put(), 0)
	try("sync", file.Sync(), syscall.EIO)
	f.Set(Fault{WriteErr: syscall.EIO})
	try("write", put(), syscall.EIO)
	try("sync", file.Sync(), 0)
	f.Set(Fault{ReadOnly: true})
	try("write", put(), syscall.EROFS)
	_, err = os.Create(filepath.Join(dir, "other"))
	try("create", err, syscall.EROFS)
	f.Set(Fault{Capacity: 64 << 10})
	_, err = file.WriteAt(make([]byte, 128<<10), 0)
	try("write more than fits", err, syscall.ENOSPC)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil || st.Bavail*uint64(st.Bsize) > 64<<10 {
		t.Errorf("room: %d of %d blocks, %v", st.Bavail, st.Blocks, err)
	}
	f.Set(Fault{SyncDelay: 50 * time.Millisecond})
	begun := time.Now()
	try("slow sync", file.Sync(), 0)
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Errorf("a slow sync took %v", took)
	}
	f.Set(Fault{Hang: true})
	done := make(chan error, 1)
	go func() { done <- file.Sync() }()
	select {
	case err := <-done:
		t.Errorf("a disk that hangs synced: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	f.Set(Fault{})
	try("sync after all", <-done, 0)
	if pages, _ := f.Unsynced(); pages != 0 {
		t.Errorf("%d pages are not durable after a sync", pages)
	}
	if f.Syncs() < 2 {
		t.Error("no syncs counted")
	}
	f.PowerCut(1)
	try("write after the power cut", put(), syscall.EIO)
	f.PowerOn()
	try("write to what was open before", put(), syscall.EIO)
}

// TestCutOfOneFile needs no mount: over many seeds a file keeps every synced byte that
// was not written again, and each way of losing the rest is seen.
func TestCutOfOneFile(t *testing.T) {
	t.Parallel()
	sizes, torn := map[int64]int{}, 0
	for seed := range uint64(200) {
		f := newFS()
		i := newItem(f.nextIno(), syscall.S_IFREG|0o600)
		f.bind(f.root, "x", i)
		f.root.durableNames["x"] = i
		old, young := strings.Repeat("o", 3*pageSize), strings.Repeat("y", 2*pageSize)
		i.write([]byte(old), 0)
		i.sync()
		i.write([]byte(young), 2*pageSize) // the last page and one more
		f.PowerCut(seed)
		f.PowerOn()
		x := f.root.names["x"]
		got := string(x.read(make([]byte, 10*pageSize), 0))
		if !strings.HasPrefix(got, old[:2*pageSize]) || strings.Trim(got, "oy\x00") != "" {
			t.Fatalf("seed %d: what was synced has changed", seed)
		}
		sizes[x.now.size]++
		if third := got[2*pageSize : 3*pageSize]; strings.Contains(third, "o") && strings.Contains(third, "y") {
			torn++
		}
	}
	if sizes[3*pageSize] == 0 || sizes[4*pageSize] == 0 || torn == 0 {
		t.Errorf("sizes after the cut: %v, %d torn pages; all ways should be seen", sizes, torn)
	}
}

// TestUnixSocket: a node puts one beside its data.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	f, dir := Mount(t)
	if f == nil {
		return
	}
	write(t, filepath.Join(dir, "x"), "text", false)
	r, err := os.Open(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if err := syscall.Mknod(filepath.Join(dir, "sock"), syscall.S_IFSOCK|0o600, 0); err != nil {
		t.Error(err)
	}
	if names := f.Names(); len(names) != 2 {
		t.Errorf("names: %v", names)
	}
}
