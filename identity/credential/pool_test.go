package credential_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
)

// cheap parameters keep the tests quick; what they test does not depend on the cost.
var cheap = credential.Params{Memory: 64, Time: 1, Threads: 1}

const right, wrong = "correct horse battery", "correct horse batterx"

func newPool(t testing.TB, cfg credential.Config) *credential.Pool {
	t.Helper()
	if cfg.Params == (credential.Params{}) {
		cfg.Params = cheap
	}
	return credential.NewPool(cfg, prometheus.NewPedanticRegistry())
}

func mustHash(t testing.TB, p *credential.Pool, password string) string {
	t.Helper()
	phc, err := p.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return phc
}

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	p := newPool(t, credential.Config{})
	a, b := mustHash(t, p, right), mustHash(t, p, right)
	if a == b {
		t.Error("two hashes share a salt")
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=64,t=1,p=1$") || strings.Contains(a, right) {
		t.Errorf("hash %s", a)
	}
	for password, want := range map[string]bool{right: true, wrong: false, "": false, right + " ": false, strings.Repeat("x", 1<<20): false} {
		ok, rehash, err := p.Verify(t.Context(), a, password)
		if ok != want || rehash || err != nil {
			t.Errorf("%.30q: %v, %v, %v", password, ok, rehash, err)
		}
	}
	p.OnCompute(func(func() []byte, credential.Params) []byte {
		t.Error("hashed a password that nobody can have")
		return nil
	})
	if ok, _, err := p.Verify(t.Context(), a, strings.Repeat("x", 1025)); ok || err != nil {
		t.Errorf("long password: %v, %v", ok, err)
	}
	if _, _, err := p.Verify(t.Context(), "$2a$10$x", right); !errors.Is(err, fsm.ErrCorrupt) {
		t.Errorf("foreign hash: %v", err)
	}
}

// The vector of the reference implementation (phc-winner-argon2, test.c).
func TestReferenceVector(t *testing.T) {
	t.Parallel()
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	ok, rehash, err := newPool(t, credential.Config{}).Verify(t.Context(), phc, "password")
	if !ok || !rehash || err != nil {
		t.Errorf("%v, %v, %v", ok, rehash, err)
	}
}

func TestComposedCharactersAreOnePassword(t *testing.T) {
	t.Parallel()
	p := newPool(t, credential.Config{})
	ok, _, err := p.Verify(t.Context(), mustHash(t, p, "gr\u00fc\u00dfe dich"), "gru\u0308\u00dfe dich")
	if !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestParsePHC(t *testing.T) {
	t.Parallel()
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc"
	for cost, ok := range map[string]bool{
		"m=19456,t=2,p=1": true, "m=262144,t=4,p=16": true,
		"m=262145,t=1,p=1": false, "m=19456,t=17,p=1": false, "m=19456,t=2,p=17": false, "m=262144,t=5,p=1": false,
		"m=4294967295,t=4294967295,p=255": false, "m=19456,t=0,p=1": false, "m=19456,t=2,p=0": false, "m=7,t=2,p=1": false, "m=15,t=2,p=2": false,
		"m=4294986752,t=2,p=1": false, "m=19456,t=2,p=257": false, "m=019456,t=2,p=1": false, "m=+19456,t=2,p=1": false, "m=-1,t=2,p=1": false,
		"t=2,m=19456,p=1": false, "m=19456,t=2": false, "m=19456,t=2,p=1,x=1": false, "m=19456, t=2,p=1": false, "": false,
	} {
		if _, _, err := credential.ParsePHC("$argon2id$v=19$" + cost + "$" + salt + "$" + key); (err == nil) != ok {
			t.Errorf("%s: %v", cost, err)
		}
	}
	const head = "$argon2id$v=19$m=64,t=1,p=1$"
	for _, bad := range []string{
		"", "$", "plain", head, head + salt, head + salt + "$", head + "$" + key, head + salt + "$" + key + "$", head + salt + "$" + key + "=",
		head + "c29t" + "$" + key, head + salt + "$" + "CTFh", head + salt + "$" + key + "\n", "x" + head + salt + "$" + key,
		strings.Replace(head, "v=19", "v=16", 1) + salt + "$" + key, strings.Replace(head, "argon2id", "argon2i", 1) + salt + "$" + key,
		head + salt + "$" + key[:len(key)-1] + "d", // loose base64
		head + strings.Repeat("c29t", 60) + "$" + key,
	} {
		if _, _, err := credential.ParsePHC(bad); err == nil {
			t.Errorf("accepted %q", bad)
		} else if len(bad) > 40 && strings.Contains(err.Error(), bad[30:]) {
			t.Errorf("error repeats the hash: %v", err)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc")
	f.Fuzz(func(t *testing.T, s string) {
		p, again, err := credential.ParsePHC(s)
		if err != nil {
			return
		}
		if again != s {
			t.Errorf("%q has another spelling %q", s, again)
		}
		if p.Memory > 256<<10 || p.Time > 16 || p.Threads > 16 || p.Memory < 8 || p.Time < 1 || p.Threads < 1 {
			t.Errorf("%q is out of bounds", s)
		}
	})
}

func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		p := credential.NewPool(credential.Config{Params: cheap, Workers: 2, Queue: 3}, reg)
		var running, most atomic.Int32
		p.OnCompute(func(func() []byte, credential.Params) []byte {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(3 * time.Second)
			running.Add(-1)
			return make([]byte, 32)
		})
		phc := "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc"
		verify := func() error { _, _, err := p.Verify(t.Context(), phc, right); return err }
		if err := verify(); err != nil { // so that it knows how long one takes
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var refused atomic.Int32
		for range 9 {
			wg.Go(func() {
				err := verify()
				var e *identity.Error
				switch {
				case err == nil:
				case errors.As(err, &e) && errors.Is(err, identity.ErrLimited) && e.RetryAfter >= time.Second && e.RetryAfter < 10*time.Second:
					refused.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		if n := p.Waiting(); n != 3 {
			t.Errorf("%d are waiting, want 3", n)
		}
		if got := gather(t, reg, "quis_password_hash_queue_length"); got != 3 {
			t.Errorf("queue length %v, want 3", got)
		}
		wg.Wait()
		if most.Load() != 2 || refused.Load() != 4 || p.Waiting() != 0 {
			t.Errorf("%d at a time, want 2; %d refused, want 4; %d still waiting", most.Load(), refused.Load(), p.Waiting())
		}
		if got := gather(t, reg, "quis_password_hash_rejected_total"); got != 4 {
			t.Errorf("rejected %v, want 4", got)
		}
		if got := gather(t, reg, "quis_password_hash_duration_seconds"); got != 6 {
			t.Errorf("%v durations, want 6", got)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, credential.Config{Workers: 1})
		p.OnCompute(func(func() []byte, credential.Params) []byte { time.Sleep(time.Minute); return make([]byte, 32) })
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Hash(t.Context(), right); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := p.Hash(ctx, right); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		if p.Waiting() != 0 {
			t.Error("still counted as waiting")
		}
		wg.Wait()
		if _, err := p.Hash(t.Context(), right); err != nil {
			t.Errorf("the slot is lost: %v", err)
		}
	})
}

func TestWorkersLeaveRoomForTokens(t *testing.T) {
	p := credential.NewPool(credential.Config{Params: cheap}, nil)
	if got, want := credential.Workers(p), max(1, runtime.GOMAXPROCS(0)/2); got != want {
		t.Errorf("%d workers, want %d", got, want)
	}
}

// gather returns the value of a gauge or counter, or the count of a histogram.
func gather(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func BenchmarkVerify(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			p := credential.NewPool(credential.Config{Workers: workers, Queue: 1000}, nil)
			phc := mustHash(b, p, right)
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if ok, _, err := p.Verify(b.Context(), phc, right); !ok || err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hashes/s")
		})
	}
}

// TestParamsOfStandards: what passwords are hashed with is no less than ASVS 4.0.3 V2.4.5 asks, 15 MiB and two passes, and than
// OWASP's cheat sheet, 19 MiB.
func TestParamsOfStandards(t *testing.T) {
	t.Parallel()
	if p := credential.DefaultParams; p.Memory < 19<<10 || p.Time < 2 || p.Threads < 1 || !p.Within() {
		t.Errorf("passwords are hashed with %+v", p)
	}
}
