package breach_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/identity/credential/breach"
)

func sha(i int) [sha1.Size]byte { return sha1.Sum(fmt.Appendf(nil, "leaked password %d", i)) }

// list is n leaked passwords as Have I Been Pwned spells them; every tenth was leaked once.
func list(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%X:%d\r\n", sha(i), 1+min(1, i%10)*i)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func build(t testing.TB, text string, recipe breach.Recipe) (string, breach.Info) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "breached")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := breach.Build(t.Context(), f, strings.NewReader(text), recipe)
	if err != nil {
		t.Fatal(err)
	}
	return path, info
}

func open(t testing.TB, path string) *breach.Set {
	t.Helper()
	s, err := breach.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSetKnowsWhatItWasBuiltOf(t *testing.T) {
	t.Parallel()
	const n = 50_000
	var read bytes.Buffer
	text := list(n)
	path, info := build(t, text, breach.Recipe{Progress: &read, Now: time.Unix(1_800_000_000, 7)})
	s := open(t, path)
	if info != s.Info() || info.Passwords != n || info.MinCount != 1 || info.Made.Unix() != 1_800_000_000 || read.Len() != len(text) {
		t.Errorf("%+v, %+v, %d bytes read", info, s.Info(), read.Len())
	}
	stat, _ := os.Stat(path)
	t.Logf("%.1f bits a password", float64(stat.Size()-4096*24)*8/n)
	if err := s.Verify(t.Context(), stat.Size(), nil); err != nil {
		t.Error(err)
	}
	wrong := 0
	for i := range 2 * n {
		has, err := s.Has(sha(i))
		if err != nil || i < n && !has {
			t.Fatalf("%d: %v, %v", i, has, err)
		}
		if i >= n && has {
			wrong++
		}
	}
	if wrong > 20 { // one in 65 536
		t.Errorf("%d of %d that are not in it are known", wrong, n)
	}
	path, info = build(t, text, breach.Recipe{MinCount: 2})
	if info.Passwords != n*9/10 || info.MinCount != 2 {
		t.Errorf("%+v", info)
	}
	if has, err := open(t, path).Has(sha(0)); has || err != nil {
		t.Errorf("left out: %v, %v", has, err)
	}
	path, _ = build(t, "", breach.Recipe{})
	if has, err := open(t, path).Has(sha(0)); has || err != nil {
		t.Errorf("empty: %v, %v", has, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	a, z := strings.Repeat("A", 40), strings.Repeat("0", 40)
	for text, want := range map[string]string{
		a + ":1\n" + z + ":1\n": "line 2: the list is not in order", a: "line 1", a + ":": "line 1", a + ":x": "line 1", "A:1": "line 1",
		z + ":1\n\n": "line 2", strings.Repeat("G", 40) + ":1": "hexadecimal", z + ":1\n" + strings.Repeat("x", 2<<20): "after line 1", z + ":-1": "number",
	} {
		f, _ := os.Create(filepath.Join(t.TempDir(), "x"))
		if _, err := breach.Build(t.Context(), f, strings.NewReader(text), breach.Recipe{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v", text, err)
		}
		f.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, _ := os.Create(filepath.Join(t.TempDir(), "x"))
	defer f.Close()
	if _, err := breach.Build(ctx, f, strings.NewReader(list(10)), breach.Recipe{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	path, _ := build(t, list(5000), breach.Recipe{})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 71, 72, 100, len(whole) - 1, len(whole) / 2} {
		if _, err := breach.Read(bytes.NewReader(whole[:n]), int64(n)); !errors.Is(err, breach.ErrFormat) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	for _, at := range []int{0, 20, 32, len(whole) - 4096*24 + 6, len(whole) - 4096*24 + 17} {
		bad := slices.Clone(whole)
		bad[at] ^= 0x7f
		if _, err := breach.Read(bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, breach.ErrFormat) {
			t.Errorf("changed at %d: %v", at, err)
		}
	}
	bad := slices.Clone(whole)
	bad[1000] ^= 1
	s, err := breach.Read(bytes.NewReader(bad), int64(len(bad)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), int64(len(bad)), nil); !errors.Is(err, breach.ErrFormat) {
		t.Errorf("a fingerprint changed: %v", err)
	}
	// Cut short while it is in use: an error, not the end of the process.
	s = open(t, path)
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Has(sha(1)); err == nil {
		t.Error("a file that was cut short answers")
	}
}

func FuzzRead(f *testing.F) {
	path, _ := build(f, list(300), breach.Recipe{})
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, 1)
	f.Add(whole[:headerAndTable], 2)
	f.Fuzz(func(t *testing.T, data []byte, i int) {
		s, err := breach.Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if _, err := s.Has(sha(i)); err != nil {
			t.Errorf("a part lies outside of the file: %v", err)
		}
	})
}

const headerAndTable = 72 + 4096*24

func FuzzFind(f *testing.F) {
	f.Add([]byte("0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:2"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c := breach.New(breach.Config{Range: func(context.Context, string) ([]byte, error) { return answer, nil }})
		if n, err := c.Check(t.Context(), "x"); n < 0 || n > 0 && err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestChecker(t *testing.T) {
	t.Parallel()
	path, _ := build(t, list(1000), breach.Recipe{MinCount: 1})
	var log bytes.Buffer
	reg := prometheus.NewPedanticRegistry()
	var asked []string
	answer, fault := []byte(nil), error(nil)
	c := breach.New(breach.Config{
		Set: open(t, path), Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: reg,
		Range: func(_ context.Context, prefix string) ([]byte, error) {
			asked = append(asked, prefix)
			return answer, fault
		},
	})
	check := func(password string, want int, fails bool) {
		t.Helper()
		if n, err := c.Check(t.Context(), password); n != want || (err != nil) != fails {
			t.Errorf("%q: %d, %v", password, n, err)
		}
	}
	check("leaked password 7", 1, false)
	if len(asked) != 0 {
		t.Error("somebody else was asked about what is known here")
	}
	// SHA-1 of "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8.
	answer = []byte("003D68EB55068C33ACE09247EE4C639306B:3\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n01E4C9B93F3F0682250B6CF8331B7EE68FD:0")
	check("password", 9545824, false)
	if len(asked) != 1 || asked[0] != "5BAA6" {
		t.Errorf("asked %q", asked)
	}
	answer = bytes.ReplaceAll(answer, []byte(":9545824"), []byte(":0"))
	check("password", 0, false) // padding
	answer = []byte("<html>sign in to the hotel's network</html>")
	check("password", 0, true)
	fault = errors.New("no route")
	check("password", 0, true)
	if n, err := c.CheckHere(t.Context(), "password"); n != 0 || err != nil || len(asked) != 4 {
		t.Errorf("here: %d, %v, asked %d times", n, err, len(asked))
	}
	for _, secret := range []string{"5BAA6", "5baa6", "password=", "1E4C9"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q: %s", secret, log.String())
		}
	}
	if n := strings.Count(log.String(), "let through"); n != 2 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
}

// Who has nobody to ask does not seem to ask somebody.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	if all, here := breach.New(breach.Config{}).Asks(); all != nil || here != nil {
		t.Error("nobody is asked")
	}
	all, here := breach.New(breach.Config{Range: func(context.Context, string) ([]byte, error) { return nil, nil }}).Asks()
	if all == nil || here == nil {
		t.Error("a service is not asked")
	}
}

func TestNobodyWaitsForTheService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := breach.New(breach.Config{Range: func(ctx context.Context, _ string) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		begin := time.Now()
		if n, err := c.Check(t.Context(), "x"); n != 0 || err == nil || time.Since(begin) != 2*time.Second {
			t.Errorf("%d, %v after %v", n, err, time.Since(begin))
		}
	})
}

func BenchmarkHas(b *testing.B) {
	path, _ := build(b, list(100_000), breach.Recipe{})
	s := open(b, path)
	b.ReportAllocs()
	for i := range b.N {
		if _, err := s.Has(sha(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBuild measures the time for each password of a list.
func BenchmarkBuild(b *testing.B) {
	text := list(b.N)
	f, err := os.Create(filepath.Join(b.TempDir(), "x"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ResetTimer()
	if _, err := breach.Build(b.Context(), f, strings.NewReader(text), breach.Recipe{Progress: io.Discard}); err != nil {
		b.Fatal(err)
	}
}
